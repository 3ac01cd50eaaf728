"""The figures of somebody's set, by hand, and how they are shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from annotation.core.grades import Grade, MarginTable
from rewardmodel.core import benchmarks
from rewardmodel.core.external import ExternalPair, Reading
from rewardmodel.core.external_report import Rating, left_out
from rewardmodel.core.external_report import figures as all_figures
from rewardmodel.core.external_table import as_text
from rewardmodel.tests.examples import make_record


def figures(ratings: Sequence[Rating], form: str) -> dict[str, Any]:
    return all_figures(ratings, form, margin_table=MarginTable.SMALL)


def rating(
    number: int,
    *,
    right: bool | None = True,
    subset: str = "",
    grade: Grade | None = None,
    cell: tuple[int, int] | None = None,
) -> Rating:
    record = make_record(number, split="test", grade=grade, chosen="a" * 3, rejected="b" * 5)
    pair = ExternalPair(replace(record, batch=subset), number + 1, subset, cell)
    numbers = {True: (1.0, 0.0), False: (0.0, 1.0), None: (0.5, 0.5)}[right]
    return Rating(pair, *numbers)


def test_accuracy_counts_what_the_reader_cannot_tell_as_half() -> None:
    # (1 + 0 + 1/2) / 3 = 1/2; choosing the longer response is wrong each time.
    found = figures([rating(0), rating(1, right=False), rating(2, right=None)], "native")
    assert (found["accuracy"], found["pairs"], found["ties"], found["length"]) == (0.5, 3, 1, 0.0)
    assert found["low"] < 0.5 < found["high"]


def test_parts_are_told_only_where_the_file_has_them() -> None:
    plain = figures([rating(0)], "native")
    assert (list(plain["by_grade"]), plain["by_subset"]) == (["none"], {})
    assert "by grade" not in as_text(document() | plain)
    parted = figures(
        [rating(0, subset="x", grade=Grade.BETTER), rating(1, subset="y", right=False)], "native"
    )
    assert {name: part["accuracy"] for name, part in parted["by_grade"].items()} == {
        "better": 1.0,
        "none": 0.0,
    }
    assert {name: part["accuracy"] for name, part in parted["by_subset"].items()} == {"x": 1.0, "y": 0.0}


def test_a_section_of_rewardbench_weighs_its_subsets_by_their_published_sizes() -> None:
    # 154 that should be refused all right, 250 that should be answered all wrong: 154 / 404.
    found = benchmarks.rewardbench({"xstest-should-refuse": 1.0, "xstest-should-respond": 0.0})
    assert found is not None
    assert found["sections"]["Safety"]["score"] == pytest.approx(154 / 404)
    assert found["sections"]["Safety"]["missing"] == [
        "donotanswer",
        "refusals-dangerous",
        "refusals-offensive",
    ]
    assert found["average"] is None


def test_mathematics_weighs_as_much_as_all_code() -> None:
    code = dict.fromkeys(("hep-cpp", "hep-go", "hep-java", "hep-js", "hep-python", "hep-rust"), 0.0)
    found = benchmarks.rewardbench({"math-prm": 1.0, **code})
    assert found is not None
    assert found["sections"]["Reasoning"]["score"] == 0.5


def test_the_average_of_rewardbench_is_the_plain_mean_of_its_four_sections() -> None:
    accuracies = {
        subset: float(name == "Chat") for name, sizes in benchmarks.SECTIONS.items() for subset in sizes
    }
    found = benchmarks.rewardbench(accuracies)
    assert found is not None
    assert found["average"] == 0.25


def test_subsets_of_another_set_are_no_rewardbench() -> None:
    assert figures([rating(0, subset="chat")], "rewardbench")["rewardbench"] is None


def test_a_judge_has_no_figures_of_rewards() -> None:
    of_a_model = figures([rating(0)], "native")
    of_a_judge = all_figures([rating(0)], "native", margin_table=None)
    assert of_a_model.keys() - of_a_judge.keys() == {"loss", "calibration", "spread", "unsafe"}


def square(right: set[tuple[int, int]], domain: str = "chat") -> list[tuple[str, tuple[int, int], float]]:
    return [(domain, (i, j), float((i, j) in right)) for i in range(3) for j in range(3)]


def test_rm_bench_is_easy_below_the_diagonal_and_hard_above_it() -> None:
    # A reader that likes the fancier style, and of equal styles the right answer in the first alone.
    found = benchmarks.rm_bench(square({(1, 0), (2, 0), (2, 1), (0, 0)}))
    assert (found["easy"], found["normal"], found["hard"]) == (1.0, pytest.approx(1 / 3), 0.0)
    assert found["average"] == pytest.approx(4 / 9)
    assert found["matrix"][2] == [1.0, 1.0, 0.0]


def test_safety_is_one_domain_of_rm_bench_made_of_two() -> None:
    everything = {(i, j) for i in range(3) for j in range(3)}
    pairs = [
        *square(everything, "chat"),
        *square(everything, "safety-refuse"),
        *square(set(), "safety-response"),
    ]
    # chat 1, safety (1 + 0) / 2: 3/4, not the 2/3 of three equal parts.
    assert benchmarks.rm_bench(pairs)["hard"] == 0.75


def test_a_level_of_rm_bench_without_all_of_its_cells_is_not_known() -> None:
    found = benchmarks.rm_bench([("chat", (0, 0), 1.0), ("chat", (1, 0), 1.0)])
    assert (found["easy"], found["normal"], found["average"]) == (None, None, None)
    assert found["matrix"][0] == [1.0, None, None]


def document(**more: Any) -> dict[str, Any]:
    reading = Reading(ties=4, bad_rows=30, bad=[{"line": n, "reason": "no text"} for n in range(1, 31)])
    return {
        "file": {"name": "x.jsonl", "format": "rm-bench"},
        "reader": {"name": "helpful-V2"},
        **figures([rating(n, subset="chat", cell=(n, 0)) for n in range(3)], "rm-bench"),
        "left_out": left_out(reading, [{"line": 31, "reason": "too long"}]),
        **more,
    }


def test_the_table_says_what_was_left_out_and_names_the_first_bad_rows() -> None:
    text = as_text(document())
    assert text.startswith("helpful-V2 on x.jsonl (rm-bench)\n")
    assert (
        "Left out: 4 ties, 0 without a choice, 0 evenly split pairs, 30 bad rows, 1 that cannot be rated."
        in text
    )
    assert "  line 20: no text\n" in text
    assert "line 21: no text" not in text
    assert "and 10 more" in text
    assert "line 31: too long" in text


def test_the_table_shows_accuracy_interval_and_the_square_of_styles() -> None:
    text = as_text(document())
    assert "100.0 %" in text
    assert "RM-Bench: chosen by row, rejected by column" in text
    assert "hard" in text


def test_a_judge_beside_the_model_has_its_own_figures() -> None:
    counts = {"model": "big", "same": 2, "differ": 1, "unreadable": 0, "refused": 0, "said_a": 0.5}
    text = as_text(document(judge={**counts, **figures([rating(0, right=False)], "native")}))
    assert "the judge big" in text
    assert "The judge's two orders agree on 2 pairs and differ on 1;" in text
