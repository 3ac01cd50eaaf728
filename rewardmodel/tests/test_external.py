"""Somebody's set read as pairs: by majority, with everything else counted."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from annotation.core.grades import Focus, Grade
from rewardmodel.core.external import ExternalPair, read_pairs
from rewardmodel.core.report import RunFailedError

DATA = Path(__file__).parents[3] / "shared" / "data"


def write(path: Path, *rows: Any) -> Path:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def vote(
    choice: str, annotator: str, *, grade: str | None = "better", prompt: str = "Name a bird."
) -> dict[str, Any]:
    row = {"prompt": prompt, "response_a": "Wren.", "response_b": "Bat.", "choice": choice}
    return {**row, "grade": grade, "focus": "helpfulness", "annotator": annotator}


def bench(subset: str, number: int = 1) -> dict[str, Any]:
    return {
        "prompt": f"Name bird {number}.",
        "chosen": "Wren.",
        "rejected": "Bat.",
        "subset": subset,
        "id": number,
    }


def sides(pair: ExternalPair) -> tuple[str, str]:
    return pair.record.chosen, pair.record.rejected


def test_several_judgments_of_one_pair_become_one_row_by_majority(tmp_path: Path) -> None:
    rows = [
        vote("a", "Ada"),
        vote("b", "Ben", grade="slightly_better"),
        vote("a", "Cem", grade="slightly_better"),
    ]
    reading = read_pairs(write(tmp_path / "x.jsonl", *rows), form="native")
    (pair,) = reading.pairs
    assert sides(pair) == ("Wren.", "Bat.")
    # Two of three chose A; of their two grades the weaker stands.
    assert (pair.record.judgments, pair.record.weight) == (3, 2 / 3)
    assert pair.record.grade is Grade.SLIGHTLY_BETTER
    assert reading.judgments == 3


def test_an_even_split_is_counted_and_left_out(tmp_path: Path) -> None:
    rows = [vote("a", "Ada"), vote("b", "Ben"), vote("a", "Ada", prompt="Name a fish.")]
    reading = read_pairs(write(tmp_path / "x.jsonl", *rows), form="native")
    assert (len(reading.pairs), reading.undecided) == (1, 1)


def test_ties_and_bad_rows_are_counted_and_bad_ones_named_by_line(tmp_path: Path) -> None:
    rows = [vote("a", "Ada"), "{broken", vote("tie", "Ben", grade=None), {"prompt": "x"}]
    reading = read_pairs(write(tmp_path / "x.jsonl", *rows), form="native")
    assert (reading.ties, reading.bad_rows) == (1, 2)
    assert [row["line"] for row in reading.bad] == [2, 4]
    assert "not JSON" in reading.bad[0]["reason"]


def test_a_subset_is_the_rows_own_and_the_same_pair_in_two_is_two(tmp_path: Path) -> None:
    rows = [bench("alpacaeval-easy"), bench("hep-cpp"), {**bench("x", 2), "subset": None}]
    reading = read_pairs(write(tmp_path / "x.jsonl", *rows), form="rewardbench")
    assert [(pair.subset, pair.line) for pair in reading.pairs] == [
        ("alpacaeval-easy", 1),
        ("hep-cpp", 2),
        ("", 3),
    ]
    assert len({pair.record.id for pair in reading.pairs}) == 3


def test_the_nine_pairs_of_rm_bench_stand_for_themselves_even_where_styles_agree(tmp_path: Path) -> None:
    row = {
        "prompt": "Name a bird.",
        "chosen": ["Wren.", "Wren.", "Wren!"],
        "rejected": ["Bat.", "Bat.", "Bat!"],
    }
    reading = read_pairs(write(tmp_path / "x.jsonl", {**row, "domain": "chat"}), form="rm-bench")
    assert [pair.cell for pair in reading.pairs] == [(i, j) for i in range(3) for j in range(3)]
    assert {pair.subset for pair in reading.pairs} == {"chat"}
    assert all(pair.record.judgments == 1 for pair in reading.pairs)


def test_the_mapping_says_what_rows_do_not_and_is_guessed_without(tmp_path: Path) -> None:
    file = write(tmp_path / "x.jsonl", bench("a"))
    guessed = read_pairs(file, form="rewardbench").pairs[0]
    said = read_pairs(file, form="rewardbench", mapping={"focus": "safety"}).pairs[0]
    assert (guessed.record.focus, said.record.focus) == (Focus.HELPFULNESS, Focus.SAFETY)


def test_a_file_may_be_an_array_and_packed(tmp_path: Path) -> None:
    file = tmp_path / "x.json.gz"
    file.write_bytes(gzip.compress(json.dumps([bench("a", 1), bench("b", 2)], indent=1).encode()))
    assert [pair.subset for pair in read_pairs(file, form="rewardbench").pairs] == ["a", "b"]


def test_a_limit_takes_the_first_pairs(tmp_path: Path) -> None:
    file = write(tmp_path / "x.jsonl", *(bench("a", number) for number in range(5)))
    assert [pair.line for pair in read_pairs(file, form="rewardbench", limit=2).pairs] == [1, 2]


@pytest.mark.parametrize(
    ("content", "form", "mapping", "says"),
    [
        ("{broken\n", "native", None, r"no pair of the format native: 1 bad rows, .* line 1: not JSON"),
        ("", "native", None, "holds no pair"),
        ("\n", "nonsense", None, "There is no format 'nonsense'"),
        ("[{]", "native", None, r"x\.jsonl, line 1: the array breaks off"),
        ("{}", "native", {"focus": "safety"}, "native takes no mapping"),
        ("{}", "rewardbench", {"focus": "fun"}, "The mapping cannot be understood: focus: "),
        ('{"data": {"q": "x"}}', "argilla", None, "cannot be guessed"),
    ],
)
def test_what_holds_no_pair_says_why(
    tmp_path: Path, content: str, form: str, mapping: dict[str, Any] | None, says: str
) -> None:
    file = tmp_path / "x.jsonl"
    file.write_text(content)
    with pytest.raises(RunFailedError, match=says):
        read_pairs(file, form=form, mapping=mapping)


# Pairs, ties, even splits and bad rows. tulu: 398 judgments of which some are of one pair; pandalm: 503 rows of three
# votes; ukpconvarg: 3,497 rows. annotation/tests/test_formats_data.py derives judgments, ties and bad rows.
@pytest.mark.parametrize(
    ("form", "name", "judgments", "ties", "bad"),
    [
        ("hh-rlhf", "hh_harmless_pairs", 1373, 0, 6),
        ("tulu", "tulu_human_eval_annotations", 398, 167, 24),
        ("pandalm", "pandalm_3annotators", 1357, 152, 32),
        ("ukpconvarg", "ukpconvarg_5annotators", 13698, 3743, 3),
    ],
)
def test_a_published_file_is_read_whole(form: str, name: str, judgments: int, ties: int, bad: int) -> None:
    path = DATA / f"{name}.jsonl.gz"
    if not path.exists():
        pytest.skip(f"the published data are not here: shared/data/{path.name} beside the checkout")
    reading = read_pairs(path, form=form)
    assert (reading.judgments, reading.ties, reading.bad_rows) == (judgments, ties, bad)
    behind = sum(pair.record.judgments for pair in reading.pairs)
    # Every judgment is behind a pair, or behind one that is evenly split, of at least two judgments.
    assert judgments - behind >= 2 * reading.undecided
    assert (judgments == behind) is (reading.undecided == 0)
