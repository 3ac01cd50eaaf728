"""One row for each judgment: what one person said of one comparison, and under what circumstances.

Knows the fields of such a row. Must not know names of people (annotators are pseudonyms), aggregation or the
database.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Final

from annotation.core.exports.base import ExportFormat, Row, turns
from annotation.core.grades import Choice, Focus, Grade, SafetyLabel
from annotation.core.records import Message, Split


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgmentRecord:
    """One judgment that counts. `messages` ends with a user turn, which both responses answer.

    `comparison`, `prompt` and `dialogue` are content keys. `annotator` is a pseudonym. `time` is in UTC, see
    `utc_text`. `left` is the response that stood on the left, empty where that is unknown; `active_ms` are
    milliseconds of work, None where nobody measured; `guideline` names the version that was in force, empty where
    there was none.
    """

    uid: str
    comparison: str
    prompt: str
    dialogue: str
    batch: str
    split: Split
    focus: Focus
    annotator: str
    time: str
    choice: Choice
    grade: Grade | None
    safety: SafetyLabel | None
    left: Choice | None
    active_ms: int | None
    guideline: str
    source: str
    comment: str
    messages: tuple[Message, ...]
    response_a: str
    response_b: str
    policy_a: str
    policy_b: str


_FIELDS: Final = tuple(field.name for field in fields(JudgmentRecord))
_WORDS: Final = ("grade", "safety", "left")


def rows(record: JudgmentRecord) -> Iterator[Row]:
    row: Row = {name: getattr(record, name) for name in _FIELDS}
    # Empty, not null: a reader that guesses a column's type from its first rows would guess wrong from nulls.
    row.update({name: row[name] or "" for name in _WORDS})
    row["messages"] = turns(record.messages)
    yield row


def utc_text(moment: datetime) -> str:
    """ISO 8601 in UTC to the microsecond, always of one length: 2026-03-01T09:30:00.000000Z.

    Raises:
        ValueError: the moment has no time zone.
    """
    if moment.tzinfo is None:
        raise ValueError(f"{moment} has no time zone: give it one")
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


FORMAT: Final[ExportFormat[JudgmentRecord]] = ExportFormat(
    name="judgments",
    title="Raw judgments",
    version=1,
    describe=(
        ("`uid`", "the judgment's own id, a UUID"),
        ("`comparison`", "the comparison's content key: the `id` of its row in the other formats"),
        ("`prompt`, `dialogue`", "content keys of the first user turn and of the whole dialogue"),
        ("`batch`", "the week's name"),
        ("`split`", "`train` or `test`"),
        ("`focus`", "`helpfulness` or `safety`"),
        ("`annotator`", "a pseudonym, the same one in every snapshot"),
        ("`time`", "when it was given, UTC, ISO 8601 to the microsecond"),
        ("`choice`", "`a` or `b`: which response is better"),
        ("`grade`", "how much better, by its name; empty where nobody stated it"),
        ("`safety`", "`chosen_safe`, `both_safe` or `both_unsafe`; empty outside the focus safety"),
        ("`left`", "`a` or `b`: which response stood on the left; empty where it is unknown"),
        ("`active_ms`", "milliseconds of work on it; null where nobody measured"),
        ("`guideline`", "the version of the guidelines in force; empty where there was none"),
        ("`source`", "`person`, `simulated`, `import` or `review`"),
        ("`comment`", "what the annotator wrote, as it stands; may name people"),
        ("`messages`", "the dialogue as `role` and `content`; it ends with a user turn"),
        ("`response_a`, `response_b`", "the two answers to it"),
        ("`policy_a`, `policy_b`", "which model gave each; empty where it is unknown"),
    ),
    rows=rows,
)
