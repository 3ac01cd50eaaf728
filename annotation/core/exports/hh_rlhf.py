"""HH-RLHF transcripts: both whole conversations as text, the last reply apart (Bai et al. 2022).

Knows how turns become a transcript that annotation.core.formats.hh_rlhf reads back. Must not know other formats.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from annotation.core.exports.base import ExportFormat, Row, UnfitError, checked_pair, without_system
from annotation.core.records import Message, PreferenceRecord

SPEAKERS: Final = {"user": "Human", "assistant": "Assistant"}
_MARK: Final = re.compile(r"\n\n(Human|Assistant):")


def rows(record: PreferenceRecord) -> Iterator[Row]:
    chosen, rejected = checked_pair(record)
    context = transcript(without_system(record.messages))
    yield {
        "chosen": context + _turn("assistant", chosen),
        "rejected": context + _turn("assistant", rejected),
    }


def transcript(messages: Sequence[Message]) -> str:
    return "".join(_turn(message["role"], message["content"]) for message in messages)


def _turn(role: str, text: str) -> str:
    """One turn; blanks at its ends go, since every reader of transcripts takes them for part of the marks."""
    text = text.strip()
    if not text:
        raise UnfitError("a turn is empty")
    if _MARK.search(text):
        raise UnfitError("a turn holds the mark of another, \\n\\nHuman: or \\n\\nAssistant:")
    return f"\n\n{SPEAKERS[role]}: {text}"


FORMAT: Final[ExportFormat[PreferenceRecord]] = ExportFormat(
    name="hh-rlhf",
    title="HH-RLHF transcript",
    version=1,
    describe=(
        (
            "`chosen`",
            "dialogue and chosen answer as one text; each turn a blank line, `Human:` or `Assistant:`, and its words",
        ),
        ("`rejected`", "the same dialogue with the other answer"),
    ),
    rows=rows,
)
