"""Label Studio's JSON export: tasks with several people's annotations, from labels of the project's own making.

Knows tasks, annotations and the results of Pairwise, Choices, Rating, Number and TextArea. Must not know pairs' order,
ties or other formats.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from annotation.core.formats.base import Draft, Format
from annotation.core.formats.fields import MAX_ANNOTATOR, Row, RowError
from annotation.core.formats.guessing import Seen, guess_fields
from annotation.core.formats.mappings import FieldMapping
from annotation.core.formats.projects import Answer, Sheet, annotator_name, judge

MAPPING_VERSION: Final = 1

# The key of a result's value, by its type; what is not here (regions, rankers) is no answer to a plain question.
VALUES: Final = {
    "pairwise": "selected",
    "choices": "choices",
    "rating": "rating",
    "number": "number",
    "textarea": "text",
}


def drafts(row: Row, said: FieldMapping) -> Iterator[Draft]:
    data, extra = row.row("data"), row.row("meta") if row.has("meta") else Row({})
    yield from judge(data, list(sheets(row)), said, extra=extra, reference=row.name("id"))


def sheets(row: Row) -> Iterator[Sheet]:
    if not row.has("annotations") and row.has("annotation_id"):
        raise RowError("this is the export JSON-MIN, which does not say what was cancelled: export as JSON")
    for annotation in row.rows("annotations"):
        answers = _answers(annotation)
        yield Sheet(
            annotator=_annotator(annotation),
            counts=bool(answers) and not annotation.flag("was_cancelled"),
            answers=answers,
        )


def _annotator(annotation: Row) -> str:
    """The number of the account, or its address where the export spells people out and gives no number."""
    if not annotation.has("completed_by"):
        return ""
    value = annotation.get("completed_by")
    if isinstance(value, dict):
        person = annotation.row("completed_by")
        return person.name("id", longest=MAX_ANNOTATOR) or person.name("email", longest=MAX_ANNOTATOR)
    return annotation.name("completed_by", longest=MAX_ANNOTATOR)


def _answers(annotation: Row) -> dict[str, Answer]:
    found: dict[str, Answer] = {}
    for result in annotation.rows("result") if annotation.has("result") else ():
        name, key = result.name("from_name"), VALUES.get(result.name("type"))
        if not name or key is None:
            continue
        if name in found:
            raise RowError(f"{result.path('from_name')} is {name} again: one answer to a question")
        answer = _text(result.row("value").get(key), result.path(f"value.{key}"))
        if answer:
            found[name] = answer
    return found


def _text(value: Any, path: str) -> str:
    if isinstance(value, list):
        if len(value) > 1 and path.endswith("choices"):
            raise RowError(f"{path} holds {len(value)} choices: one preference has one answer")
        return "\n".join(part for part in value if isinstance(part, str))
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return annotator_name(value) if not isinstance(value, float) else str(value)


def look(rows: Sequence[Row]) -> Seen:
    """The names and answers in the first rows."""
    seen = Seen()
    for row in rows:
        try:
            data = row.row("data")
            seen.add(data, list(sheets(row)))
        except RowError:
            continue  # it will be said of the row
    return seen


def guess(rows: Sequence[Row]) -> FieldMapping | None:
    return guess_fields(look(rows))


FORMAT: Final = Format(
    name="label-studio",
    title="Label Studio, JSON export",
    version=MAPPING_VERSION,
    mapping=(
        (
            "the field of `data` named as `prompt`",
            "the dialogue: text that is its only user turn, or messages",
        ),
        ("the fields named as `response_a`, `response_b`", "the responses"),
        (
            "`annotations[].result[]`",
            "answers by `from_name`, of the types pairwise, choices, rating, number, textarea",
        ),
        (
            "the question named as `choice`",
            "the choice, by `values`; of `rating_a` and `rating_b` the higher",
        ),
        ("the question named as `grade`", "the grade, by `grades`; none named: no grade"),
        ("the question named as `comment`", "the comment"),
        ("`annotations[].completed_by`", "the annotator: the account's number, else its address"),
        ("`annotations[].was_cancelled`, no answer, no annotation", "no vote; counted"),
        ("`id`", "the reference"),
        ("`predictions`, `drafts`, times, regions", "left out"),
    ),
    drafts=drafts,
    shape=FieldMapping,
    guess=guess,
)
