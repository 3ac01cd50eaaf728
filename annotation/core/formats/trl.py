"""TRL's preference sets: conversational or plain text, the prompt stated or shared by both replies.

Knows TRL's column names. Must not know pairs' order, ties or other formats.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from annotation.core.formats.base import Draft, Format
from annotation.core.formats.dialogues import replies
from annotation.core.formats.fields import Row
from annotation.core.formats.mappings import MarginMapping
from annotation.core.formats.pairs import draft, guess_margins

MAPPING_VERSION: Final = 1


def drafts(row: Row, said: MarginMapping) -> Iterator[Draft]:
    yield draft(row, said, replies(row))


FORMAT: Final = Format(
    name="trl-preference",
    title="TRL preference",
    version=MAPPING_VERSION,
    mapping=(
        ("`prompt`", "the dialogue: messages, or text that is its only user turn"),
        ("without `prompt`, messages", "the turns that both sides share before their last reply"),
        ("without `prompt`, text", "the only user turn: all whole words that both sides begin with"),
        (
            "`chosen`, `rejected`",
            "the chosen response and the other: text, or messages that end with a reply",
        ),
        (
            "`margin`",
            "the grade whose number it is in the table you name, exactly; else no grade, and counted. 0 is no grade",
        ),
        ("`id`", "the reference, where there is one"),
        ("other columns", "left out; the focus is the one you name, the annotator unknown"),
    ),
    drafts=drafts,
    shape=MarginMapping,
    guess=guess_margins,
)
