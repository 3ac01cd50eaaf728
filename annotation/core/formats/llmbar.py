"""LLMBar (Zeng et al. 2024): an instruction, two outputs, and which of them follows it.

Knows the fields of its records. Must not know pairs' order, ties or other formats.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from annotation.core.formats.base import Draft, Format, ImportedResponse, Verdict, user_turn
from annotation.core.formats.fields import Row

MAPPING_VERSION: Final = 1

VERDICTS: Final = (Verdict.FIRST, Verdict.SECOND)


def drafts(row: Row) -> Iterator[Draft]:
    yield Draft(
        messages=user_turn(row.text("input")),
        first=ImportedResponse(row.text("output_1")),
        second=ImportedResponse(row.text("output_2")),
        verdict=VERDICTS[row.integer("label", low=1, high=2) - 1],
        reference=row.name("id"),
    )


FORMAT: Final = Format(
    name="llmbar",
    title="LLMBar",
    version=MAPPING_VERSION,
    mapping=(
        ("`input`", "the only user turn"),
        ("`output_1`, `output_2`", "the responses; no policy"),
        ("`label`", "the choice: 1 is the first, 2 the second; no grade, annotator unknown"),
        ("`id`", "the reference, where there is one"),
    ),
    drafts=drafts,
)
