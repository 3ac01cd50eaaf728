"""LLaMA-Factory's ranking sets: the dialogue in ShareGPT's words, and two replies as messages.

Knows those words. Must not know pairs' order, ties or other formats.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from annotation.core.formats.base import Draft, Format
from annotation.core.formats.dialogues import CHAT, SHAREGPT, Speech, check_prompt, reply, system_turn
from annotation.core.formats.fields import Row
from annotation.core.formats.mappings import FocusMapping
from annotation.core.formats.pairs import draft, guess_focus
from annotation.core.records import Message

MAPPING_VERSION: Final = 1

SPEECH: Final = Speech(role="from", content="value", roles=SHAREGPT)


def drafts(row: Row, said: FocusMapping) -> Iterator[Draft]:
    yield draft(row, said, (_messages(row), _reply(row, "chosen"), _reply(row, "rejected")))


def _messages(row: Row) -> tuple[Message, ...]:
    key = "conversations" if row.has("conversations") or not row.has("messages") else "messages"
    turns = _speech(next(row.rows(key), row)).messages(row, key)
    return check_prompt((*system_turn(row), *turns), key)


def _reply(row: Row, key: str) -> str:
    message = row.row(key)
    return reply(_speech(message).message(message), key)


def _speech(message: Row) -> Speech:
    """The set may be set up for OpenAI's words too."""
    return CHAT if message.has("role") else SPEECH


FORMAT: Final = Format(
    name="llama-factory",
    title="LLaMA-Factory ranking, ShareGPT",
    version=MAPPING_VERSION,
    mapping=(
        ("`conversations` or `messages`", "the dialogue: `from` and `value`, or `role` and `content`"),
        ("`system`", "its system message, where there is one"),
        ("`chosen`, `rejected`", "the chosen response and the other, each one message"),
        ("`id`", "the reference, where there is one"),
        ("other columns", "left out; no grade, the focus is the one you name, the annotator unknown"),
    ),
    drafts=drafts,
    shape=FocusMapping,
    guess=guess_focus,
)
