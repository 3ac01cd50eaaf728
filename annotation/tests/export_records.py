"""Records for the tests of the export formats."""

from __future__ import annotations

from typing import Any

from annotation.core.exports.base import Passage, Row
from annotation.core.exports.judgments import JudgmentRecord
from annotation.core.exports.registry import EXPORTS
from annotation.core.grades import Choice, Focus, Grade
from annotation.core.records import Message, PreferenceRecord, content_key, dialogue_key, prompt_key

QUESTION: tuple[Message, ...] = ({"role": "user", "content": "Name a bird."},)
TALK: tuple[Message, ...] = (
    {"role": "user", "content": "Name a bird."},
    {"role": "assistant", "content": "Wren."},
    {"role": "user", "content": "Another?"},
)
RULED: tuple[Message, ...] = ({"role": "system", "content": "Answer in one word."}, *TALK)


def make_record(
    messages: tuple[Message, ...] = QUESTION,
    chosen: str = "A wren.",
    rejected: str = "A bat.",
    **columns: Any,
) -> PreferenceRecord:
    """A graded pair; the grade is better, under the small table."""
    values = {
        "id": content_key("comparison", [*messages], chosen, rejected),
        "prompt": prompt_key(messages[0]["content"]),
        "dialogue": dialogue_key(messages),
        "batch": "Week 1",
        "focus": Focus.HELPFULNESS,
        "split": "train",
        "grade": Grade.BETTER,
        "margin": 2 / 3,
        "safety": None,
        "judgments": 2,
        "weight": 1.0,
        "chosen_policy": "V1",
        "rejected_policy": "V0",
    }
    return PreferenceRecord(messages=messages, chosen=chosen, rejected=rejected, **{**values, **columns})


def make_judgment_record(**columns: Any) -> JudgmentRecord:
    values: dict[str, Any] = {
        "uid": "0b0e7a0e-6a52-4c8a-9d56-0f6d7f0a2f11",
        "comparison": content_key("comparison", "x"),
        "prompt": prompt_key("Name a bird."),
        "dialogue": dialogue_key(QUESTION),
        "batch": "Week 1",
        "split": "train",
        "focus": Focus.HELPFULNESS,
        "annotator": "annotator-ada",
        "time": "2026-03-01T09:30:00.000000Z",
        "choice": Choice.A,
        "grade": Grade.BETTER,
        "safety": None,
        "left": Choice.B,
        "active_ms": 5200,
        "guideline": "helpfulness 3",
        "source": "person",
        "comment": "",
        "messages": QUESTION,
        "response_a": "A wren.",
        "response_b": "A bat.",
        "policy_a": "V1",
        "policy_b": "V0",
    }
    return JudgmentRecord(**{**values, **columns})


def rows_of(form: str, *records: PreferenceRecord) -> list[Row]:
    """All rows of one file."""
    passage = Passage(EXPORTS[form])
    return [row for record in records for row in passage.rows(record)]


def row_of(form: str, record: PreferenceRecord) -> Row:
    (row,) = rows_of(form, record)
    return row


def left_out(form: str, *records: PreferenceRecord) -> dict[str, int]:
    """What a file lacks, by its reason."""
    passage = Passage(EXPORTS[form])
    for record in records:
        list(passage.rows(record))
    return dict(passage.left_out)
