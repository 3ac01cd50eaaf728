"""Margin's own import format: one judgment a line, every field checked, unknown fields refused.

Knows the documented fields of docs/import.md. Must not know pairs' order, ties or other formats.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from annotation.core.formats.base import Draft, Format, ImportedResponse, Verdict, user_turn
from annotation.core.formats.dialogues import CHAT, check_prompt
from annotation.core.formats.fields import MAX_ANNOTATOR, Row, RowError, clean_text
from annotation.core.grades import Focus, Grade, SafetyLabel
from annotation.core.records import Message

MAPPING_VERSION: Final = 1
MAX_TEMPERATURE: Final = 100

FIELDS: Final = (
    "messages",
    "prompt",
    "response_a",
    "response_b",
    "choice",
    "grade",
    "focus",
    "safety",
    "annotator",
    "comment",
    "id",
)
RESPONSE_FIELDS: Final = ("text", "policy", "temperature", "top_p", "seed")
VERDICTS: Final = {"a": Verdict.FIRST, "b": Verdict.SECOND, "tie": Verdict.TIE}


def drafts(row: Row) -> Iterator[Draft]:
    row.refuse_others(FIELDS)
    verdict = VERDICTS[row.word("choice", VERDICTS)]
    focus = Focus(row.word("focus", tuple(Focus)))
    yield Draft(
        messages=_messages(row),
        first=_response(row, "response_a"),
        second=_response(row, "response_b"),
        verdict=verdict,
        grade=_grade(row, verdict),
        focus=focus,
        safety=_safety(row, focus, verdict),
        annotator=row.name("annotator", longest=MAX_ANNOTATOR),
        comment=row.optional_text("comment"),
        reference=row.name("id"),
    )


def _messages(row: Row) -> tuple[Message, ...]:
    if row.has("messages") is row.has("prompt"):
        raise RowError("give either messages (a dialogue) or prompt (its only turn), one of the two")
    if row.has("prompt"):
        return user_turn(row.text("prompt", strip=False))
    messages = tuple(_message(turn) for turn in row.rows("messages"))
    return check_prompt(messages, "messages")


def _message(turn: Row) -> Message:
    turn.refuse_others(("role", "content"))
    return CHAT.message(turn, strip=False)


def _response(row: Row, key: str) -> ImportedResponse:
    value = row.get(key)
    if isinstance(value, str):
        return ImportedResponse(clean_text(value, row.path(key), strip=False))
    response = row.row(key)
    response.refuse_others(RESPONSE_FIELDS)
    return ImportedResponse(
        text=response.text("text", strip=False),
        policy=response.name("policy"),
        temperature=response.number("temperature", low=0, high=MAX_TEMPERATURE)
        if response.has("temperature")
        else None,
        top_p=response.number("top_p", low=0, high=1) if response.has("top_p") else None,
        seed=response.integer("seed") if response.has("seed") else None,
    )


def _grade(row: Row, verdict: Verdict) -> Grade | None:
    if not row.has("grade"):
        return None
    if verdict is Verdict.TIE:
        raise RowError("grade does not go with a tie: leave it out, or make a choice")
    return Grade(row.word("grade", tuple(Grade)))


def _safety(row: Row, focus: Focus, verdict: Verdict) -> SafetyLabel | None:
    if not row.has("safety"):
        return None
    if focus is not Focus.SAFETY:
        raise RowError("safety goes only with the focus safety: leave it out")
    # The fourth bin has no word of its own, so that it fails here like any misspelling (section 3.2.1).
    label = SafetyLabel(row.word("safety", tuple(SafetyLabel)))
    if verdict is Verdict.TIE and label is SafetyLabel.CHOSEN_SAFE:
        raise RowError("safety chosen_safe does not go with a tie: make a choice")
    return label


FORMAT: Final = Format(
    name="native",
    title="Margin's own JSONL",
    version=MAPPING_VERSION,
    mapping=(
        ("`messages` or `prompt`", "the dialogue as it stands; `prompt` is its only user turn"),
        (
            "`response_a`, `response_b`",
            "text, or an object with `text`, `policy`, `temperature`, `top_p`, `seed`",
        ),
        ("`choice`", "`a`, `b` or `tie`"),
        ("`grade`", "the grade by its name; absent or null: no strength stated"),
        ("`focus`", "`helpfulness` or `safety`"),
        ("`safety`", "`chosen_safe`, `both_safe` or `both_unsafe`, only with the focus safety"),
        ("`annotator`", "the annotator's name; absent: unknown"),
        ("`comment`", "the comment"),
        ("`id`", "the reference"),
    ),
    drafts=drafts,
)
