"""Rows of a Margin snapshot (annotation.core.records): what one house publishes, another can take in.

Knows the published record. Must not know how a snapshot is written, or who judged: a row speaks for several people.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Final

from annotation.core.formats.base import Draft, Format, ImportedResponse, Verdict
from annotation.core.formats.dialogues import CHAT, check_prompt
from annotation.core.formats.fields import Row, RowError
from annotation.core.grades import Focus, Grade, SafetyLabel
from annotation.core.records import PreferenceRecord

MAPPING_VERSION: Final = 1

FIELDS: Final = tuple(field.name for field in fields(PreferenceRecord))


def drafts(row: Row) -> Iterator[Draft]:
    row.refuse_others(FIELDS)
    focus = Focus(row.word("focus", tuple(Focus)))
    yield Draft(
        messages=check_prompt(CHAT.messages(row, "messages", strip=False), "messages"),
        first=ImportedResponse(row.text("chosen", strip=False), policy=row.name("chosen_policy")),
        second=ImportedResponse(row.text("rejected", strip=False), policy=row.name("rejected_policy")),
        verdict=Verdict.FIRST,
        grade=Grade(row.word("grade", tuple(Grade))) if row.has("grade") else None,
        focus=focus,
        safety=safety_of(row, focus),
        reference=row.name("id"),
    )


def safety_of(row: Row, focus: Focus) -> SafetyLabel | None:
    if not row.name("safety"):
        return None
    if focus is not Focus.SAFETY:
        raise RowError("safety goes only with the focus safety: leave it out")
    return SafetyLabel(row.word("safety", tuple(SafetyLabel)))


FORMAT: Final = Format(
    name="snapshot",
    title="Rows of a Margin snapshot",
    version=MAPPING_VERSION,
    mapping=(
        ("`messages`", "the dialogue as it stands"),
        ("`chosen`, `rejected`", "the chosen response and the other, as they stand"),
        ("`chosen_policy`, `rejected_policy`", "their policies"),
        ("`grade`, `safety`, `focus`", "the grade, the safety label, the focus"),
        ("`id`", "the reference"),
        (
            "`judgments`, `weight`",
            "left out: a row is one judgment of an unknown annotator, however many people stand behind it",
        ),
        (
            "`margin`, `split`, `batch`, `prompt`, `dialogue`",
            "left out: they follow from the grade and from this house",
        ),
    ),
    drafts=drafts,
)
