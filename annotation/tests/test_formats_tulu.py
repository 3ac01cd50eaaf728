"""Tulu's human evaluation."""

from __future__ import annotations

from typing import Any

import pytest

from annotation.core.formats.base import Tie
from annotation.core.grades import Focus, Grade
from annotation.tests.format_rows import chosen, judgment, prompt, read_json, reason


def row(preference: str = "a-is-better", **fields: Any) -> dict[str, Any]:
    return {
        "id": 12,
        "prompt": "Name a bird.\n",
        "model_a": "small",
        "model_b": "large",
        "completion_a": "Bat.",
        "completion_b": "Wren.",
        "completion_a_is_acceptable": "no",
        "completion_b_is_acceptable": "yes",
        "preference": preference,
        "evaluator": "Ada",
    } | fields


@pytest.mark.parametrize(
    ("preference", "text", "grade"),
    [
        ("a-is-better", "Bat.", Grade.BETTER),
        ("a-is-slightly-better", "Bat.", Grade.SLIGHTLY_BETTER),
        ("b-is-slightly-better", "Wren.", Grade.SLIGHTLY_BETTER),
        ("b-is-better", "Wren.", Grade.BETTER),
    ],
)
def test_a_preference_becomes_a_choice_and_a_grade(preference: str, text: str, grade: Grade) -> None:
    item = judgment("tulu", row(preference))
    assert (chosen(item), item.grade) == (text, grade)


def test_the_rest_of_the_row_arrives() -> None:
    item = judgment("tulu", row())
    assert prompt(item) == "Name a bird."
    assert {r.text: r.policy for r in (item.response_a, item.response_b)} == {
        "Bat.": "small",
        "Wren.": "large",
    }
    assert (item.annotator, item.reference, item.focus) == ("Ada", "12", Focus.HELPFULNESS)


def test_acceptability_is_kept_in_words_and_is_no_safety_label() -> None:
    item = judgment("tulu", row("b-is-better"))
    assert item.comment == "chosen: acceptable; other: not acceptable"
    assert item.safety is None


def test_a_tie_is_a_tie() -> None:
    assert read_json("tulu", row("tie")) == [Tie(1, "Ada")]


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"completion_a": None}, "completion_a must be text, not null"),
        ({"completion_b": "#ERROR!"}, "completion_b is #ERROR!: a spreadsheet put its error"),
        ({"completion_b": " Bat."}, "both responses are the same text"),
        ({"preference": "a"}, "preference is 'a': use one of a-is-better,"),
        (
            {"completion_a_is_acceptable": "maybe"},
            "completion_a_is_acceptable is 'maybe': use one of yes, no",
        ),
        ({"prompt": "\n"}, "prompt is empty"),
    ],
)
def test_a_row_without_two_texts_and_a_verdict_is_refused(fields: dict[str, Any], says: str) -> None:
    assert reason("tulu", row(**fields)).startswith(says)


def test_a_tie_between_equal_texts_is_a_bad_row_since_nobody_could_choose() -> None:
    assert reason("tulu", row("tie", completion_a="Wren.")) == "both responses are the same text"
