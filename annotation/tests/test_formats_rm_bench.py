"""RM-Bench."""

from __future__ import annotations

from typing import Any

import pytest

from annotation.core.formats import rm_bench
from annotation.core.formats.base import BadRow, ImportedJudgment
from annotation.core.formats.detection import first_rows, guess_format
from annotation.core.grades import Focus
from annotation.core.records import canonical_json
from annotation.tests.format_rows import chosen, other, prompt, read_json, reason


def row(**fields: Any) -> dict[str, Any]:
    return {
        "id": "chat-7",
        "prompt": "Name a bird.",
        "chosen": ["Wren.", "A wren.", "A **wren**."],
        "rejected": ["Bat.", "A bat.", "A **bat**."],
        "domain": "chat",
    } | fields


def judgments(**fields: Any) -> list[ImportedJudgment]:
    items = read_json("rm-bench", row(**fields))
    assert all(isinstance(item, ImportedJudgment) for item in items), items
    return [item for item in items if isinstance(item, ImportedJudgment)]


def test_every_right_answer_is_chosen_over_every_wrong_one() -> None:
    pairs = [(chosen(item), other(item)) for item in judgments()]
    assert pairs == [(right, wrong) for right in row()["chosen"] for wrong in row()["rejected"]]
    assert {prompt(item) for item in judgments()} == {"Name a bird."}


def test_a_pair_keeps_its_two_styles_in_whatever_order_it_is_stored() -> None:
    items = judgments()
    assert {item.choice for item in items} == {"a", "b"}
    assert [rm_bench.cell_of(item) for item in items] == [(i, j) for i in range(3) for j in range(3)]
    assert items[1].comment == "chosen: concise; other: detailed"


@pytest.mark.parametrize(
    ("domain", "focus"),
    [
        ("chat", Focus.HELPFULNESS),
        ("safety-refuse", Focus.SAFETY),
        ("safety-response", Focus.SAFETY),
        (None, Focus.HELPFULNESS),
    ],
)
def test_the_domain_makes_the_focus(domain: str | None, focus: Focus) -> None:
    assert {item.focus for item in judgments(domain=domain)} == {focus}


def test_a_pair_of_equal_texts_is_left_out_alone() -> None:
    items = read_json("rm-bench", row(rejected=["Wren.", "A bat.", "A **bat**."]))
    assert [item for item in items if isinstance(item, BadRow)] == [
        BadRow(1, "both responses are the same text")
    ]
    assert len(items) == 9


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"chosen": "Wren."}, "chosen must be a list, not text"),
        ({"rejected": ["Bat."]}, "rejected holds 1 responses: give 3, one in each style"),
        ({"chosen": ["Wren.", "", "x"]}, "chosen[1] is empty"),
        ({"prompt": " "}, "prompt is empty"),
    ],
)
def test_a_row_without_three_styles_on_both_sides_says_why(fields: dict[str, Any], says: str) -> None:
    assert reason("rm-bench", row(**fields)) == says


def test_the_format_is_known_by_its_lists_of_texts() -> None:
    assert guess_format(first_rows([canonical_json(row())])) == "rm-bench"
