"""State machines of the app: what is true in each state, and which moves are legal.

Knows names and tables. Must not know rows, clocks or people; services move rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class BatchState(StrEnum):
    """A weekly batch."""

    PLANNED = "planned"  # may be edited; nobody is given its comparisons
    OPEN = "open"  # its comparisons are leased and judged
    SEALED = "sealed"  # nothing in it or behind it changes any more; its split is drawn


class ComparisonState(StrEnum):
    """One pair of responses within a batch."""

    OPEN = "open"  # has a free slot or a live lease: somebody may still be given it
    COMPLETE = "complete"  # has as many judgments as the batch's overlap
    WITHDRAWN = "withdrawn"  # skipped or flagged by people; not given to others, not exported


BATCH_MOVES: Final[Mapping[BatchState, frozenset[BatchState]]] = MappingProxyType(
    {
        BatchState.PLANNED: frozenset({BatchState.OPEN}),
        BatchState.OPEN: frozenset({BatchState.SEALED}),
        BatchState.SEALED: frozenset(),
    }
)
