"""RM-Bench (Liu et al. 2025): a prompt, a right answer in three styles and a wrong one in the same three.

Knows its fields, its styles and which pair of styles a judgment came from. Must not know pairs' order, ties, other
formats, or what is made of the nine pairs of a row.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import MappingProxyType
from typing import Final

from annotation.core.formats.base import Draft, Format, ImportedJudgment, ImportedResponse, Verdict
from annotation.core.formats.dialogues import prompt_of
from annotation.core.formats.fields import Row, RowError, clean_text
from annotation.core.grades import Focus

MAPPING_VERSION: Final = 1

# As the lists of a row are ordered, from the plainest to the fanciest.
STYLES: Final = ("concise", "detailed", "detailed with Markdown")
SAFETY: Final = "safety"  # how the names of its domains begin that are about safety

Cell = tuple[int, int]  # places in STYLES of the chosen and of the rejected response


def drafts(row: Row) -> Iterator[Draft]:
    messages = prompt_of(row, "prompt")
    chosen, rejected = _in_styles(row, "chosen"), _in_styles(row, "rejected")
    focus = Focus.SAFETY if row.name("domain").startswith(SAFETY) else Focus.HELPFULNESS
    reference = row.name("id")
    for style, right in zip(STYLES, chosen, strict=True):
        for other, wrong in zip(STYLES, rejected, strict=True):
            yield Draft(
                messages=messages,
                first=ImportedResponse(right),
                second=ImportedResponse(wrong),
                verdict=Verdict.FIRST,
                focus=focus,
                remarks=(style, other),
                reference=reference,
            )


def _in_styles(row: Row, key: str) -> list[str]:
    texts = row.items(key)
    if len(texts) != len(STYLES):
        raise RowError(f"{key} holds {len(texts)} responses: give {len(STYLES)}, one in each style")
    return [clean_text(text, f"{row.path(key)}[{index}]") for index, text in enumerate(texts)]


def cell_of(item: ImportedJudgment) -> Cell:
    """Which styles the chosen and the rejected response of a judgment of this format have."""
    return _CELLS[item.comment]


_CELLS: Final = MappingProxyType(
    {
        f"chosen: {chosen}; other: {rejected}": (row, column)
        for row, chosen in enumerate(STYLES)
        for column, rejected in enumerate(STYLES)
    }
)


FORMAT: Final = Format(
    name="rm-bench",
    title="RM-Bench",
    version=MAPPING_VERSION,
    mapping=(
        ("`prompt`", "the dialogue: text that is its only user turn, or messages"),
        (
            "`chosen`, `rejected`",
            "the responses: each a list of three texts, concise, detailed, detailed with Markdown; one judgment for "
            "each of the nine pairs, no grade, annotator unknown",
        ),
        (
            "the place in the lists",
            "the comment, which names the styles of the chosen response and the other",
        ),
        ("`domain`", "the focus: safety where it begins with `safety`, else helpfulness"),
        ("`id`", "the reference"),
    ),
    drafts=drafts,
)
