"""What the trainers' preference sets share: a chosen and a rejected reply, perhaps a margin, nobody's name.

Knows that draft and the margin's way to a grade. Must not know which keys a trainer uses.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from annotation.core.formats.base import Draft, ImportedResponse, Verdict
from annotation.core.formats.fields import Row, RowError
from annotation.core.formats.mappings import FocusMapping, MarginMapping, guess_table
from annotation.core.records import Message

LARGEST_MARGIN = 1e6


def draft(
    row: Row,
    said: FocusMapping,
    pair: tuple[tuple[Message, ...], str, str],
    *,
    policies: tuple[str, str] = ("", ""),
) -> Draft:
    """One judgment: the chosen reply against the other. A margin becomes a grade only where it is a grade's number."""
    messages, chosen, rejected = pair
    margin = margin_of(row) if isinstance(said, MarginMapping) else 0.0
    grade = said.grade_of(margin) if isinstance(said, MarginMapping) else None
    return Draft(
        messages=messages,
        first=ImportedResponse(chosen, policy=policies[0]),
        second=ImportedResponse(rejected, policy=policies[1]),
        verdict=Verdict.FIRST,
        grade=grade,
        focus=said.focus,
        reference=row.name("id"),
        margin_lost=bool(margin) and grade is None,
    )


def margin_of(row: Row) -> float:
    return row.number("margin", low=-LARGEST_MARGIN, high=LARGEST_MARGIN) if row.has("margin") else 0.0


def guess_margins(rows: Sequence[Row]) -> MarginMapping:
    return guess_table(_margins(rows))


def _margins(rows: Iterable[Row]) -> Iterable[float]:
    for row in rows:
        try:
            yield margin_of(row)
        except RowError:
            continue  # it will be said of the row


def guess_focus(rows: Sequence[Row]) -> FocusMapping:
    return FocusMapping()
