"""Axolotl's preference sets: a dialogue and two messages, or a prompt and two texts.

Knows the keys of its chat_template.default and bradley_terry.chat_template. Must not know pairs' order, ties or other
formats.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from annotation.core.formats.base import Draft, Format, user_turn
from annotation.core.formats.dialogues import CHAT, check_prompt, reply, system_turn
from annotation.core.formats.fields import Row
from annotation.core.formats.mappings import FocusMapping
from annotation.core.formats.pairs import draft, guess_focus
from annotation.core.records import Message

MAPPING_VERSION: Final = 1


def drafts(row: Row, said: FocusMapping) -> Iterator[Draft]:
    yield draft(row, said, (_messages(row), _reply(row, "chosen"), _reply(row, "rejected")))


def _messages(row: Row) -> tuple[Message, ...]:
    turns = user_turn(row.text("input")) if row.has("input") else CHAT.messages(row, "messages")
    return check_prompt((*system_turn(row), *turns), "messages")


def _reply(row: Row, key: str) -> str:
    return row.text(key) if isinstance(row.get(key), str) else reply(CHAT.message(row.row(key)), key)


FORMAT: Final = Format(
    name="axolotl",
    title="Axolotl preference",
    version=MAPPING_VERSION,
    mapping=(
        ("`messages` or `input`", "the dialogue: messages, or text that is its only user turn"),
        ("`system`", "its system message, where there is one"),
        ("`chosen`, `rejected`", "the chosen response and the other, each one message or text"),
        ("`id`", "the reference, where there is one"),
        ("other keys", "left out; no grade, the focus is the one you name, the annotator unknown"),
    ),
    drafts=drafts,
    shape=FocusMapping,
    guess=guess_focus,
)
