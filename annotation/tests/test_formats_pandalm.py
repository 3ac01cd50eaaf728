"""PandaLM's test set."""

from __future__ import annotations

from typing import Any

import pytest

from annotation.core.formats.base import ImportedJudgment, Tie
from annotation.tests.format_rows import chosen, prompt, read_json, reason


def row(**fields: Any) -> dict[str, Any]:
    return {
        "idx": 4,
        "cmp_key": "bloom-7b_llama-7b",
        "instruction": "Translate to German.",
        "input": "",
        "response1": "Katze",
        "response2": "Hund",
        "annotator1": 1,
        "annotator2": 2,
        "annotator3": 0,
    } | fields


def test_a_row_gives_a_judgment_or_tie_for_each_annotator() -> None:
    first, second, third = read_json("pandalm", row())
    assert isinstance(first, ImportedJudgment)
    assert (chosen(first), first.annotator, first.grade, first.reference) == (
        "Katze",
        "annotator1",
        None,
        "4",
    )
    assert chosen(second) == "Hund"
    assert third == Tie(1, "annotator3")


def test_an_input_follows_the_instruction_after_a_blank_line() -> None:
    assert prompt(read_json("pandalm", row())[0]) == "Translate to German."
    assert prompt(read_json("pandalm", row(input="cat"))[0]) == "Translate to German.\n\ncat"


def test_the_policies_are_the_two_halves_of_the_key() -> None:
    item = read_json("pandalm", row())[0]
    assert isinstance(item, ImportedJudgment)
    policies = {r.text: r.policy for r in (item.response_a, item.response_b)}
    assert policies == {"Katze": "bloom-7b", "Hund": "llama-7b"}


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"response1": True}, "response1 must be text, not true or false"),
        ({"response2": ""}, "response2 is empty"),
        ({"response2": "Katze"}, "both responses are the same text"),
        ({"instruction": " "}, "instruction is empty"),
        ({"annotator2": 3}, "annotator2 is 3: use a whole number from 0 to 2"),
        ({"annotator2": True}, "annotator2 is True: use a whole number from 0 to 2"),
    ],
)
def test_a_bad_field_refuses_the_whole_row_once(fields: dict[str, Any], says: str) -> None:
    assert reason("pandalm", row(**fields)) == says
