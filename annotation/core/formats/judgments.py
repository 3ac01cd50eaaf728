"""Raw judgments of another Margin (annotation.core.exports.judgments): one row a judgment, annotators as pseudonyms.

Knows the published record. Must not know how it is written.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Final

from annotation.core.exports.judgments import JudgmentRecord
from annotation.core.formats.base import Draft, Format, ImportedResponse, Verdict
from annotation.core.formats.dialogues import CHAT, check_prompt
from annotation.core.formats.fields import MAX_ANNOTATOR, Row
from annotation.core.formats.snapshot import safety_of
from annotation.core.grades import Choice, Focus, Grade

MAPPING_VERSION: Final = 1

FIELDS: Final = tuple(field.name for field in fields(JudgmentRecord))
VERDICTS: Final = {Choice.A: Verdict.FIRST, Choice.B: Verdict.SECOND}


def drafts(row: Row) -> Iterator[Draft]:
    row.refuse_others(FIELDS)
    focus = Focus(row.word("focus", tuple(Focus)))
    yield Draft(
        messages=check_prompt(CHAT.messages(row, "messages", strip=False), "messages"),
        first=ImportedResponse(row.text("response_a", strip=False), policy=row.name("policy_a")),
        second=ImportedResponse(row.text("response_b", strip=False), policy=row.name("policy_b")),
        verdict=VERDICTS[Choice(row.word("choice", tuple(Choice)))],
        grade=Grade(row.word("grade", tuple(Grade))) if row.name("grade") else None,
        focus=focus,
        safety=safety_of(row, focus),
        annotator=row.name("annotator", longest=MAX_ANNOTATOR),
        comment=row.optional_text("comment"),
        reference=row.name("uid"),
    )


FORMAT: Final = Format(
    name="judgments",
    title="Raw judgments of a Margin snapshot",
    version=MAPPING_VERSION,
    mapping=(
        ("`messages`", "the dialogue as it stands"),
        ("`response_a`, `response_b`", "the responses, as they stand"),
        ("`policy_a`, `policy_b`", "their policies"),
        ("`choice`, `grade`, `safety`, `focus`", "the choice, the grade, the safety label, the focus"),
        ("`annotator`", "the annotator: their pseudonym there, for which they get a new one here"),
        ("`comment`", "the comment"),
        ("`uid`", "the reference"),
        (
            "`time`, `left`, `active_ms`, `guideline`, `source`, `split`, `batch`, content keys",
            "left out: they say how it was there",
        ),
    ),
    drafts=drafts,
)
