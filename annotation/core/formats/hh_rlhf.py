"""Anthropic's HH-RLHF: two whole transcripts a row, the preferred one named (Bai et al. 2022).

Knows how a transcript falls into turns. Must not know pairs' order, ties or other formats.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from typing import Final, Literal

from annotation.core.formats.base import Draft, Format, ImportedResponse, Verdict
from annotation.core.formats.fields import Row, RowError, clean_text
from annotation.core.grades import Focus
from annotation.core.records import Message

MAPPING_VERSION: Final = 1

_TURN: Final = re.compile(r"(?:^|\n\n)(Human|Assistant):")
_ROLES: Final[dict[str, Literal["user", "assistant"]]] = {"Human": "user", "Assistant": "assistant"}


def drafts(row: Row, focus: Focus) -> Iterator[Draft]:
    chosen, rejected = _turns(row, "chosen"), _turns(row, "rejected")
    context = chosen[:-1]
    if context != rejected[:-1]:
        raise RowError("chosen and rejected share no prompt: their turns before the last reply differ")
    yield Draft(
        messages=tuple(context),
        first=ImportedResponse(chosen[-1]["content"]),
        second=ImportedResponse(rejected[-1]["content"]),
        verdict=Verdict.FIRST,
        focus=focus,
        reference=row.name("src_line"),
    )


def _turns(row: Row, key: str) -> list[Message]:
    """The turns of one transcript: Human first, in alternation, a reply of the Assistant last."""
    head, *parts = _TURN.split(row.text(key))
    if head.strip() or not parts:
        raise RowError(f"{key} does not start with a turn: a transcript opens with 'Human:'")
    turns: list[Message] = []
    for index, (speaker, text) in enumerate(zip(parts[::2], parts[1::2], strict=True)):
        if (speaker == "Human") is not (index % 2 == 0):
            where = "has two turns in a row" if index else "starts with a turn"
            raise RowError(f"{key} {where} of the {speaker}: turns alternate, the Human's first")
        place = "last reply" if index == len(parts) // 2 - 1 else "turn before the last reply"
        turns.append({"role": _ROLES[speaker], "content": clean_text(text, f"the {place} of {key}")})
    if turns[-1]["role"] != "assistant":
        raise RowError(f"{key} does not end with a reply of the Assistant")
    return turns


def _format(name: str, subset: str, focus: Focus) -> Format:
    return Format(
        name=name,
        title=f"Anthropic HH-RLHF, {subset} subsets",
        version=MAPPING_VERSION,
        mapping=(
            ("the turns that both transcripts share", "the dialogue, split at `Human:` and `Assistant:`"),
            ("last reply of `chosen`", "the chosen response"),
            ("last reply of `rejected`", "the other response"),
            ("the subset", f"the focus {focus}; no grade, no safety label, annotator unknown"),
            ("`src_line`", "the reference, where there is one"),
        ),
        drafts=partial(drafts, focus=focus),
    )


HARMLESS: Final = _format("hh-rlhf", "harmless", Focus.SAFETY)
HELPFUL: Final = _format("hh-rlhf-helpful", "helpful", Focus.HELPFULNESS)
