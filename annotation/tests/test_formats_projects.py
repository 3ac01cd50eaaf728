"""Exports of Label Studio and Argilla: free names, several people an item, votes that were not given."""

from __future__ import annotations

import json
from typing import Any

import pytest

from annotation.core.formats.base import Abstention, BadRow, ImportedJudgment, Item, Tie, TiePolicy
from annotation.core.formats.detection import first_rows, guess_format, guess_mapping
from annotation.core.formats.mappings import FieldMapping, FocusMapping, Side
from annotation.core.formats.registry import read
from annotation.core.grades import Focus, Grade
from annotation.tests.format_rows import chosen, prompt

PAIR = {"prompt": "Name a bird.", "answer1": "Wren.", "answer2": "Bat."}
NAMES = {"prompt": "prompt", "response_a": "answer1", "response_b": "answer2"}


def annotation(by: Any, *results: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"id": 7, "completed_by": by, "result": list(results), "was_cancelled": False, **more}


def result(name: str, kind: str, value: Any) -> dict[str, Any]:
    key = {"pairwise": "selected", "textarea": "text"}.get(kind, kind)
    return {"from_name": name, "to_name": name, "type": kind, "value": {key: value}}


def task(*annotations: dict[str, Any], **data: Any) -> dict[str, Any]:
    return {"id": 1, "data": {**PAIR, **data}, "annotations": list(annotations), "predictions": []}


def pick(side: str) -> dict[str, Any]:
    return result("comparison", "pairwise", side)


def record(**answers: Any) -> dict[str, Any]:
    return {
        "id": "r1",
        "fields": PAIR,
        "metadata": {},
        "suggestions": {},
        "responses": answers,
        "vectors": {},
    }


def answer(value: Any, user: str = "u1", **more: Any) -> dict[str, Any]:
    return {"value": value, "user_id": user, **more}


def ranked(*names: str) -> list[dict[str, Any]]:
    return [{"rank": rank, "value": name} for rank, name in enumerate(names, start=1)]


def take(
    form: str, *rows: dict[str, Any], ties: TiePolicy = "skip", mapping: FocusMapping | None = None
) -> list[Item]:
    """The rows read under the mapping, by default the one that is guessed from them."""
    lines = [json.dumps(row) for row in rows]
    if mapping is None:
        assert guess_format(first_rows(lines)) == form
        mapping = guess_mapping(form, first_rows(lines))
    return list(read(lines, form=form, ties=ties, mapping=mapping))


def votes(items: list[Item]) -> list[tuple[str, str]]:
    """Who chose what."""
    return [(item.annotator, chosen(item)) for item in items if isinstance(item, ImportedJudgment)]


def reason(form: str, row: dict[str, Any], mapping: FocusMapping) -> str:
    (item,) = take(form, row, mapping=mapping)
    assert isinstance(item, BadRow), item
    return item.reason


PAIRWISE = FieldMapping(**NAMES, choice="comparison", values={"left": Side.A, "right": Side.B})


def test_a_pairwise_task_gives_one_judgment_an_annotation() -> None:
    items = take("label-studio", task(annotation(3, pick("left")), annotation(4, pick("right"))))
    assert votes(items) == [("3", "Wren."), ("4", "Bat.")]
    assert [prompt(item) for item in items] == ["Name a bird."] * 2


def test_a_cancelled_an_empty_and_an_absent_annotation_are_no_votes() -> None:
    cancelled = annotation(3, pick("left"), was_cancelled=True)
    items = take("label-studio", task(cancelled, annotation(4)), task(), mapping=PAIRWISE)
    assert items == [Abstention(1, "3"), Abstention(1, "4"), Abstention(2, "")]


@pytest.mark.parametrize(
    ("by", "name"),
    [
        (3, "3"),
        ({"id": 3, "email": "ada@example.org"}, "3"),
        ({"email": "ada@example.org"}, "ada@example.org"),
        (None, ""),
    ],
)
def test_whoever_annotated_is_named_by_number_where_there_is_one(by: Any, name: str) -> None:
    (item,) = take("label-studio", task(annotation(by, pick("left"))))
    assert isinstance(item, ImportedJudgment)
    assert item.annotator == name


def test_choices_with_words_of_strength_are_guessed_with_their_grades() -> None:
    words = ["A is much better", "A is slightly better", "Tie", "B is better", "cannot say"]
    rows = [task(annotation(n, result("verdict", "choices", [word]))) for n, word in enumerate(words)]
    items = take("label-studio", *rows)
    first, second, third, fourth, fifth = items
    assert votes(items) == [("0", "Wren."), ("1", "Wren."), ("3", "Bat.")]
    assert [item.grade for item in (first, second, fourth) if isinstance(item, ImportedJudgment)] == [
        Grade.SIGNIFICANTLY_BETTER,
        Grade.SLIGHTLY_BETTER,
        Grade.BETTER,
    ]
    assert (third, fifth) == (Tie(3, "2"), Abstention(5, "4"))


def test_a_plain_better_alone_is_no_grade() -> None:
    rows = [
        task(annotation(n, result("verdict", "choices", [f"{side} is better"])))
        for n, side in enumerate("AB")
    ]
    assert [item.grade for item in take("label-studio", *rows) if isinstance(item, ImportedJudgment)] == [
        None,
        None,
    ]


def test_two_ratings_choose_the_higher_and_may_tie() -> None:
    def rated(one: int, two: int) -> dict[str, Any]:
        return task(annotation(1, result("stars1", "rating", one), result("stars2", "rating", two)))

    items = take("label-studio", rated(4, 2), rated(1, 5), rated(3, 3))
    assert votes(items) == [("1", "Wren."), ("1", "Bat.")]
    assert items[2] == Tie(3, "1")


def test_a_comment_and_a_grade_come_from_questions_of_their_own() -> None:
    mapping = FieldMapping(
        **NAMES,
        choice="comparison",
        values={"left": Side.A},
        grade="strength",
        grades={"3": Grade.BETTER},
        comment="why",
        focus=Focus.SAFETY,
    )
    answers = (
        pick("left"),
        result("strength", "rating", 3),
        result("why", "textarea", ["It flies.", "Truly."]),
    )
    (item,) = take("label-studio", task(annotation(1, *answers)), mapping=mapping)
    assert isinstance(item, ImportedJudgment)
    assert (item.grade, item.comment, item.focus) == (Grade.BETTER, "It flies.\nTruly.", Focus.SAFETY)


def test_a_dialogue_may_be_a_list_of_messages() -> None:
    turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Name a bird."}]
    (item,) = take("label-studio", task(annotation(1, pick("left")), prompt=turns))
    assert isinstance(item, ImportedJudgment)
    assert [message["role"] for message in item.messages] == ["system", "user"]


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (task(annotation(1, pick("middle"))), "comparison is 'middle': say in the mapping's values"),
        (task(annotation(1, pick("left"), pick("left"))), "is comparison again: one answer to a question"),
        (task(annotation(1, pick("left")), answer2=None), "data.answer2 must be text, not null"),
        (task(annotation(1, result("comparison", "choices", ["left", "right"]))), "holds 2 choices"),
        ({"id": 1, **PAIR, "annotation_id": 3, "data": {}}, "this is the export JSON-MIN"),
        ({"id": 1, "data": PAIR}, "annotations is missing"),
    ],
)
def test_a_task_that_cannot_be_read_says_why(row: dict[str, Any], says: str) -> None:
    assert says in reason("label-studio", row, PAIRWISE)


RANKING = FieldMapping(**NAMES, choice="preference", values={"answer1": Side.A, "answer2": Side.B})
NESTED = record(preference=[answer(ranked("answer1", "answer2")), answer(ranked("answer2", "answer1"), "u2")])
NAMED = record(preference=[answer(["answer1", "answer2"]), answer(["answer2", "answer1"], "u2")])
FEEDBACK = {
    "fields": PAIR,
    "responses": [
        {
            "user_id": "u1",
            "values": {"preference": {"value": ranked("answer1", "answer2")}},
            "status": "submitted",
        },
        {
            "user_id": "u2",
            "values": {"preference": {"value": ranked("answer2", "answer1")}},
            "status": "submitted",
        },
    ],
    "external_id": None,
    "metadata": {},
}
FLAT = {
    "id": "r1",
    **PAIR,
    "preference.responses": [["answer1", "answer2"], ["answer2", "answer1"]],
    "preference.responses.users": ["u1", "u2"],
    "preference.responses.status": ["submitted", "submitted"],
}
PUBLISHED = {
    **PAIR,
    "preference": [
        {**answer({"rank": [1, 2], "value": ["answer1", "answer2"]}), "status": "submitted"},
        {**answer({"rank": [1, 2], "value": ["answer2", "answer1"]}, "u2"), "status": "submitted"},
    ],
    "metadata": "{}",
}
COLUMNS = {
    **PAIR,
    "choice": {"user_id": ["u1", "u2"], "value": [1, 2], "status": ["submitted", "submitted"]},
}


@pytest.mark.parametrize("row", [NESTED, NAMED, FEEDBACK, FLAT, PUBLISHED, COLUMNS])
def test_argillas_records_are_read_in_each_form_in_which_they_were_ever_written(row: dict[str, Any]) -> None:
    assert votes(take("argilla", row)) == [("u1", "Wren."), ("u2", "Bat.")]


def test_equal_ranks_are_a_tie() -> None:
    row = record(preference=[answer([{"rank": 1, "value": "answer1"}, {"rank": 1, "value": "answer2"}])])
    assert take("argilla", row) == [Tie(1, "u1")]


def test_of_a_longer_ranking_only_the_pair_counts() -> None:
    row = record(preference=[answer(ranked("answer3", "answer2", "answer1"))])
    assert votes(take("argilla", row, mapping=RANKING)) == [("u1", "Bat.")]


@pytest.mark.parametrize("status", ["discarded", "draft", "pending"])
def test_what_was_not_submitted_is_no_vote(status: str) -> None:
    row = record(preference=[answer(ranked("answer1", "answer2"), status=status)])
    assert take("argilla", row, mapping=RANKING) == [Abstention(1, "u1")]


def test_a_discarded_response_without_values_is_no_vote() -> None:
    row = {**FEEDBACK, "responses": [{"user_id": "u3", "values": None, "status": "discarded"}]}
    assert take("argilla", row, mapping=RANKING) == [Abstention(1, "u3")]


def test_two_people_without_a_name_are_two_people() -> None:
    row = {**COLUMNS, "choice": {"user_id": [None, None], "value": [1, 2], "status": ["submitted"] * 2}}
    assert votes(take("argilla", row)) == [("", "Wren."), ("", "Bat.")]


def test_one_person_answers_several_questions() -> None:
    row = record(choice=[answer("answer2"), answer("answer1", "u2")], why=[answer("It flies.", "u2")])
    mapping = FieldMapping(**NAMES, choice="choice", values=RANKING.values, comment="why")
    items = take("argilla", row, mapping=mapping)
    assert votes(items) == [("u1", "Bat."), ("u2", "Wren.")]
    assert [item.comment for item in items if isinstance(item, ImportedJudgment)] == ["", "It flies."]


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (record(preference=[answer(ranked("answer1"))]), "ranks 'answer1': say in the mapping's values"),
        (record(preference=[answer([{"rank": "one", "value": "answer1"}])]), "has a rank that is text"),
        (record(preference=[answer("no idea")]), "preference is 'no idea': say in the mapping's values"),
        ({**FLAT, "preference.responses.users": ["u1"]}, "has 1 entries for 2 responses"),
        ({"fields": [PAIR], "responses": []}, "a whole dataset by columns"),
    ],
)
def test_a_record_that_cannot_be_read_says_why(row: dict[str, Any], says: str) -> None:
    assert says in reason("argilla", row, RANKING)


def test_rows_that_hold_no_pair_leave_nothing_to_guess() -> None:
    rows = first_rows([json.dumps({"id": 1, "data": {"text": "x"}, "annotations": []})])
    assert guess_mapping("label-studio", rows) is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"choice": ""},
        {"rating_a": "x", "rating_b": "y"},
        {"choice": "", "rating_a": "x"},
        {"response_b": "answer1"},
        {"surprise": 1},
        {"values": {"left": "c"}},
    ],
)
def test_a_mapping_that_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        FieldMapping(**{**NAMES, "choice": "x", **wrong})
