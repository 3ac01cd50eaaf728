"""Margin's own import format."""

from __future__ import annotations

from typing import Any

import pytest

from annotation.core.formats.base import ImportedResponse
from annotation.core.grades import Focus, Grade, SafetyLabel
from annotation.tests.format_rows import chosen, judgment, prompt, read_json, reason

TURNS = [
    {"role": "user", "content": "Name a bird."},
    {"role": "assistant", "content": "Robin."},
    {"role": "user", "content": "Another one."},
]


def row(**fields: Any) -> dict[str, Any]:
    whole = {"prompt": "Name a bird.", "response_a": "Wren.", "response_b": "Bat.", "choice": "a"}
    return whole | {"focus": "helpfulness"} | fields


def dialogue(turns: Any) -> dict[str, Any]:
    whole = row(messages=turns)
    del whole["prompt"]
    return whole


def test_the_smallest_row_has_five_fields() -> None:
    item = judgment("native", row())
    assert prompt(item) == "Name a bird."
    assert chosen(item) == "Wren."
    assert item.focus is Focus.HELPFULNESS
    assert (item.grade, item.safety, item.annotator, item.comment, item.reference) == (None, None, "", "", "")


def test_every_field_arrives() -> None:
    response = {"text": "Wren.", "policy": "V2", "temperature": 1.1, "top_p": 0.9, "seed": 7}
    item = judgment(
        "native",
        row(
            response_a=response,
            grade="significantly_better",
            focus="safety",
            safety="chosen_safe",
            annotator="Ada",
            comment="A bat is no bird.",
            id=31,
        ),
    )
    assert ImportedResponse("Wren.", "V2", 1.1, 0.9, 7) in (item.response_a, item.response_b)
    assert ImportedResponse("Bat.") in (item.response_a, item.response_b)
    assert item.grade is Grade.SIGNIFICANTLY_BETTER
    assert item.safety is SafetyLabel.CHOSEN_SAFE
    assert (item.annotator, item.comment, item.reference) == ("Ada", "A bat is no bird.", "31")


def test_null_is_the_same_as_absent_where_a_field_may_be_absent() -> None:
    absent = dict.fromkeys(("messages", "grade", "safety", "annotator", "comment", "id"))
    assert read_json("native", row(**absent)) == read_json("native", row())


def test_a_dialogue_of_several_turns_arrives_as_it_stands() -> None:
    system = {"role": "system", "content": " Be brief. "}
    assert judgment("native", dialogue(TURNS)).messages == tuple(TURNS)
    assert judgment("native", dialogue([system, *TURNS])).messages == (system, *TURNS)


def test_text_is_not_trimmed() -> None:
    assert chosen(judgment("native", row(response_a="  indented\n"))) == "  indented\n"


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"choice": "left"}, "choice is 'left': use one of a, b, tie"),
        ({"choice": None}, "choice is None: use one of a, b, tie"),
        ({"choice": ["a"]}, "choice is a list: use one of a, b, tie"),
        ({"grade": "best"}, "grade is 'best': use one of significantly_better, better,"),
        ({"grade": "better", "choice": "tie"}, "grade does not go with a tie"),
        ({"focus": "honesty"}, "focus is 'honesty': use one of helpfulness, safety"),
        ({"safety": "both_safe"}, "safety goes only with the focus safety"),
        (
            {"focus": "safety", "safety": "chosen_unsafe"},
            "safety is 'chosen_unsafe': use one of chosen_safe,",
        ),
        (
            {"focus": "safety", "safety": "chosen_safe", "choice": "tie"},
            "safety chosen_safe does not go with a tie",
        ),
        ({"response_a": None}, "response_a must be an object, not null"),
        ({"response_a": True}, "response_a must be an object, not true or false"),
        ({"response_b": ""}, "response_b is empty"),
        ({"response_b": {"policy": "V1"}}, "response_b.text is missing"),
        ({"response_b": {"text": 4}}, "response_b.text must be text, not a number"),
        ({"response_b": {"text": "x", "temp": 1}}, "'response_b.temp' is not a field: use text, policy,"),
        (
            {"response_b": {"text": "x", "temperature": -1}},
            "response_b.temperature is -1: use a number from 0",
        ),
        ({"response_b": {"text": "x", "temperature": True}}, "response_b.temperature is True: use a number"),
        ({"response_b": {"text": "x", "temperature": 10**400}}, "response_b.temperature is 1000"),
        ({"response_b": {"text": "x", "top_p": 1.5}}, "response_b.top_p is 1.5: use a number from 0 to 1"),
        ({"response_b": {"text": "x", "seed": 1.5}}, "response_b.seed is 1.5: use a whole number"),
        ({"response_b": {"text": "x", "seed": 2**63}}, "response_b.seed is 9223372036854775808: use a whole"),
        (
            {"response_b": {"text": "x", "policy": "V" * 201}},
            "response_b.policy is longer than 200 characters",
        ),
        ({"annotator": "A" * 101}, "annotator is longer than 100 characters"),
        ({"annotator": ["Ada"]}, "annotator must be text, not a list"),
        ({"comment": 5}, "comment must be text, not a number"),
        ({"prompt": None}, "give either messages (a dialogue) or prompt"),
        ({"prompt": " "}, "prompt is empty"),
        ({"messages": TURNS}, "give either messages (a dialogue) or prompt"),
        ({"anotator": "Ada"}, "'anotator' is not a field: use messages, prompt, response_a,"),
    ],
)
def test_a_field_that_is_wrong_is_named_with_what_to_do(fields: dict[str, Any], says: str) -> None:
    assert reason("native", row(**fields)).startswith(says)


@pytest.mark.parametrize(
    ("turns", "says"),
    [
        ("Name a bird.", "messages must be a list, not text"),
        ([], "messages must end with a user turn"),
        (TURNS[:2], "messages must end with a user turn"),
        ([{"role": "system", "content": "Be brief."}], "messages must end with a user turn"),
        (TURNS[1:], "messages[0].role is assistant: after an optional system message,"),
        ([TURNS[0], TURNS[0]], "messages[1].role is user: after an optional system message,"),
        ([*TURNS, {"role": "system", "content": "x"}], "messages[3].role is system: after"),
        (["Name a bird."], "messages[0] must be an object, not text"),
        (
            [{"role": "human", "content": "x"}],
            "messages[0].role is 'human': use one of system, user, assistant",
        ),
        ([{"role": "user", "content": ""}], "messages[0].content is empty"),
        (
            [{"role": "user", "content": "x", "name": "Ada"}],
            "'messages[0].name' is not a field: use role, content",
        ),
    ],
)
def test_a_dialogue_that_is_wrong_is_named_with_its_turn(turns: Any, says: str) -> None:
    assert reason("native", dialogue(turns)).startswith(says)
