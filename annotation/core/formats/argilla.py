"""Argilla's exported records: fields, questions and several people's responses, in the forms of versions 1 and 2.

Knows the four ways in which records were written: nested (2.x to_disk and to_list, 1.x FeedbackRecord), flattened (2.x)
and as columns of a published set (1.x). Must not know pairs' order, ties or other formats.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from annotation.core.formats.base import Draft, Format
from annotation.core.formats.fields import MAX_ANNOTATOR, Row, RowError, kind_of
from annotation.core.formats.guessing import Seen, guess_fields
from annotation.core.formats.mappings import FieldMapping
from annotation.core.formats.projects import Answer, Ranking, Sheet, annotator_name, judge

MAPPING_VERSION: Final = 1

SUBMITTED: Final = "submitted"
STATUSES: Final = (SUBMITTED, "discarded", "draft", "pending")


@dataclass(frozen=True, slots=True)
class _Given:
    """One person's answer to one question; the place stands for a person without a name."""

    question: str
    place: int
    user: str
    status: str
    value: Any


def drafts(row: Row, said: FieldMapping) -> Iterator[Draft]:
    answered = sheets(row)
    fields = row.row("fields") if row.has("fields") else row
    extra = row.row("metadata") if isinstance(_of(row, "metadata"), dict) else Row({})
    reference = row.name("id") or row.name("external_id")
    yield from judge(fields, answered, said, extra=extra, reference=reference)


def sheets(row: Row) -> list[Sheet]:
    """The answers of each person, in the order of the record."""
    found: dict[str, Sheet] = {}
    for given in _given(row):
        key = given.user or f"#{given.place}"
        sheet = found.setdefault(key, Sheet(given.user))
        sheet.counts &= given.status == SUBMITTED
        if (answer := _answer(given.value, given.question)) is not None:
            sheet.answers[given.question] = answer
    return list(found.values())


def _given(row: Row) -> Iterator[_Given]:
    if row.has("fields") and isinstance(row.get("fields"), list):
        raise RowError("this is a whole dataset by columns: write it with to_list() or to_disk()")
    if row.has("responses"):
        responses = row.get("responses")
        return _by_person(row) if isinstance(responses, list) else _by_question(row.row("responses"))
    return _columns(row)


def _by_person(row: Row) -> Iterator[_Given]:
    """1.x: a list of people with all that each answered."""
    for place, response in enumerate(row.rows("responses")):
        user, status = _user(response), _status(response)
        values = response.row("values") if response.has("values") else Row({})
        for question in values.names:
            yield _Given(question, place, user, status, values.row(question).get("value"))
        if not values.names:
            yield _Given("", place, user, status, None)


def _by_question(responses: Row) -> Iterator[_Given]:
    """2.x: a list of answers by question. Which were submitted is not written."""
    for question in responses.names:
        for place, response in enumerate(responses.rows(question)):
            yield _Given(question, place, _user(response), _status(response), response.get("value"))


def _columns(row: Row) -> Iterator[_Given]:
    """2.x flattened, `q.responses` with users and statuses beside it; or 1.x, `q` with all three within it."""
    for name in row.names:
        value = _of(row, name)
        if name.endswith(".responses") and isinstance(value, list):
            users = _parallel(row, f"{name}.users", len(value))
            statuses = _parallel(row, f"{name}.status", len(value))
            for place, (one, user, status) in enumerate(zip(value, users, statuses, strict=True)):
                yield _Given(name.removesuffix(".responses"), place, _name(user), status or SUBMITTED, one)
        elif _is_answers(value):
            for place, response in enumerate(_answer_rows(row, name)):
                yield _Given(name, place, _user(response), _status(response), response.get("value"))


def _of(row: Row, name: str) -> Any:
    return row.get(name) if row.has(name) else None


def _parallel(row: Row, name: str, length: int) -> list[Any]:
    if not row.has(name):
        return [None] * length
    values = row.items(name)
    if len(values) != length:
        raise RowError(f"{row.path(name)} has {len(values)} entries for {length} responses")
    return values


def _is_answers(value: Any) -> bool:
    one = value[0] if isinstance(value, list) and value else value
    return isinstance(one, dict) and {"user_id", "value"} <= one.keys()


def _answer_rows(row: Row, name: str) -> Iterator[Row]:
    """A list of objects, or an object of lists, as libraries of tables turn the one into the other."""
    if isinstance(row.get(name), list):
        yield from row.rows(name)
        return
    columns = row.row(name)
    length = len(columns.items("value"))
    users, statuses = _parallel(columns, "user_id", length), _parallel(columns, "status", length)
    for value, user, status in zip(columns.items("value"), users, statuses, strict=True):
        yield Row({"value": value, "user_id": user, "status": status}, row.path(name))


def _user(response: Row) -> str:
    return _name(_of(response, "user_id"))


def _name(value: Any) -> str:
    return annotator_name(value)[:MAX_ANNOTATOR]


def _status(response: Row) -> str:
    return response.word("status", STATUSES) if response.has("status") else SUBMITTED


def _answer(value: Any, question: str) -> Answer | None:
    """A label, a number or a text as text; a ranking in any of its three forms; None: nothing was answered."""
    if isinstance(value, dict):
        return _table_ranking(value, question)
    if isinstance(value, list):
        return _list_answer(value, question)
    if isinstance(value, float) and not value.is_integer():
        return str(value)
    return annotator_name(int(value) if isinstance(value, float) else value) or None


def _list_answer(value: list[Any], question: str) -> Answer | None:
    if all(isinstance(one, str) for one in value):
        # One label of a question that may have several; or a ranking, best first.
        return (
            value[0]
            if len(value) == 1
            else Ranking({item: n for n, item in enumerate(value, 1)})
            if value
            else None
        )
    if all(isinstance(one, dict) and {"rank", "value"} <= one.keys() for one in value):
        return _ranking([one["value"] for one in value], [one["rank"] for one in value], question)
    return None  # spans of text


def _table_ranking(value: dict[str, Any], question: str) -> Answer | None:
    if not {"rank", "value"} <= value.keys():
        raise RowError(f"{question} is an object without rank and value: no ranking")
    return _ranking(value["value"], value["rank"], question)


def _ranking(items: Any, ranks: Any, question: str) -> Ranking:
    if not isinstance(items, list) or not isinstance(ranks, list) or len(items) != len(ranks):
        raise RowError(f"{question} must hold as many ranks as values, not {kind_of(ranks)}")
    for rank in ranks:
        if type(rank) is not int:
            raise RowError(f"{question} has a rank that is {kind_of(rank)}: use whole numbers, 1 the best")
    return Ranking({str(item): rank for item, rank in zip(items, ranks, strict=True)})


def look(rows: Sequence[Row]) -> Seen:
    """The names and answers in the first rows."""
    seen = Seen()
    for row in rows:
        try:
            answered = sheets(row)
            seen.add(row.row("fields") if row.has("fields") else row, answered)
        except RowError:
            continue  # it will be said of the row
    return seen


def guess(rows: Sequence[Row]) -> FieldMapping | None:
    return guess_fields(look(rows))


FORMAT: Final = Format(
    name="argilla",
    title="Argilla, exported records",
    version=MAPPING_VERSION,
    mapping=(
        ("the field named as `prompt`", "the dialogue: text that is its only user turn, or messages"),
        ("the fields named as `response_a`, `response_b`", "the responses"),
        (
            "`responses`, `….responses`, or columns of answers",
            "each person's answers: labels, ratings, texts; rankings, which may tie",
        ),
        (
            "the question named as `choice`",
            "the choice, by `values`; of a ranking the better, of `rating_a` and `rating_b` the higher",
        ),
        ("the question named as `grade`", "the grade, by `grades`; none named: no grade"),
        ("the question named as `comment`", "the comment"),
        ("`user_id`", "the annotator"),
        (
            "`status`",
            "`submitted` counts, as does none; `discarded`, `draft`, `pending` are no votes; counted",
        ),
        ("`id`, else `external_id`", "the reference"),
        (
            "`suggestions`, `vectors`, `metadata`",
            "left out, but for the fields named as `policy_a`, `policy_b`",
        ),
    ),
    drafts=drafts,
    shape=FieldMapping,
    guess=guess,
)
