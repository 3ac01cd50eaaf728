"""OpenRLHF's reward sets: whole conversations, or a prompt and two replies.

Knows the keys that OpenRLHF's scripts are pointed to. Must not know pairs' order, ties or other formats.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from annotation.core.formats.base import Draft, Format
from annotation.core.formats.dialogues import replies
from annotation.core.formats.fields import Row, RowError
from annotation.core.formats.mappings import MarginMapping
from annotation.core.formats.pairs import draft, guess_margins

MAPPING_VERSION: Final = 1


def drafts(row: Row, said: MarginMapping) -> Iterator[Draft]:
    yield draft(row, said, replies(_named(row)))


def _named(row: Row) -> Row:
    """The row with its prompt under one name: OpenRLHF is told which key holds it."""
    if not row.has("input"):
        return row
    if row.has("prompt"):
        raise RowError("give either input or prompt, one of the two")
    given: dict[str, Any] = {name: row.get(name) for name in row.names}
    return Row({**given, "prompt": given["input"]})


FORMAT: Final = Format(
    name="openrlhf",
    title="OpenRLHF reward model",
    version=MAPPING_VERSION,
    mapping=(
        ("`prompt` or `input`", "the dialogue: messages, or text that is its only user turn"),
        ("without both", "what `chosen` and `rejected` share: turns before the last reply, or whole words"),
        (
            "`chosen`, `rejected`",
            "the chosen response and the other: messages that end with a reply, or text",
        ),
        (
            "`margin`",
            "the grade whose number it is in the table you name, exactly; else no grade, and counted. 0 is no grade",
        ),
        ("`id`", "the reference, where there is one"),
        ("other keys", "left out; the focus is the one you name, the annotator unknown"),
    ),
    drafts=drafts,
    shape=MarginMapping,
    guess=guess_margins,
)
