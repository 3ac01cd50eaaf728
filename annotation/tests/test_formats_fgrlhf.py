"""Fine-Grained RLHF's question answering set."""

from __future__ import annotations

from typing import Any

import pytest

from annotation.core.formats.base import BadRow, ImportedJudgment, Tie
from annotation.tests.format_rows import chosen, other, prompt, read_json, reason


def row(**fields: Any) -> dict[str, Any]:
    return {
        "src_idx": 0,
        "question": "Who wrote it?",
        "passages": [["The Book", "The Book\n\nThe Book is long.", "Ada wrote it."], ["Ben", "Ben reads."]],
        **{f"prediction {n}": f"p{n}" for n in range(1, 5)},
        "preference": [1, 2, 0, 1, 2, 0],
    } | fields


def test_six_comparisons_come_in_the_order_12_13_14_23_24_34() -> None:
    items = read_json("fgrlhf", row())
    assert [None if isinstance(item, Tie) else (chosen(item), other(item)) for item in items] == [
        ("p1", "p2"),
        ("p3", "p1"),
        None,
        ("p2", "p3"),
        ("p4", "p2"),
        None,
    ]
    assert all(i.reference == "0" and i.grade is None for i in items if isinstance(i, ImportedJudgment))


def test_the_passages_make_the_prompt() -> None:
    assert prompt(read_json("fgrlhf", row())[0]) == (
        "Answer the question from the passages.\n\n"
        "The Book\nThe Book is long. Ada wrote it.\n\n"
        "Ben\nBen reads.\n\n"
        "Question: Who wrote it?"
    )


def test_only_the_pairs_of_equal_predictions_are_bad() -> None:
    items = read_json("fgrlhf", row(**{"prediction 3": "p1"}))
    assert [type(item) for item in items].count(BadRow) == 1


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"preference": [1, 2]}, "preference has 2 comparisons: four predictions make 6"),
        ({"preference": [1, 2, 0, 1, 2, 3]}, "preference[5] is 3: use 0 (tie), 1 (first) or 2 (second)"),
        (
            {"preference": [1, 2, 0, 1, 2, True]},
            "preference[5] is True: use 0 (tie), 1 (first) or 2 (second)",
        ),
        ({"prediction 2": None}, "prediction 2 must be text, not null"),
        ({"passages": [[]]}, "passages[0] must be a list of a title and sentences"),
        ({"passages": [["t", 5]]}, "passages[0][1] must be text, not a number"),
    ],
)
def test_a_bad_field_refuses_the_whole_row(fields: dict[str, Any], says: str) -> None:
    assert reason("fgrlhf", row(**fields)) == says
