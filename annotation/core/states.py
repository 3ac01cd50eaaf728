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


class SnapshotState(StrEnum):
    """One version of a dataset."""

    WAITING = "waiting"  # asked for; nothing of it is on any disk
    WRITING = "writing"  # a process has claimed it and says so again and again
    READY = "ready"  # its files are in place and never change
    FAILED = "failed"  # could not be written; `error` says why, nothing of it is left
    WITHDRAWN = "withdrawn"  # replaced by a version without some of its rows; its files are not given out


class DeliveryState(StrEnum):
    """One event on its way to one address."""

    WAITING = "waiting"  # is sent when it is due
    DELIVERED = "delivered"  # was answered with 2xx
    FAILED = "failed"  # given up


SNAPSHOT_MOVES: Final[Mapping[SnapshotState, frozenset[SnapshotState]]] = MappingProxyType(
    {
        SnapshotState.WAITING: frozenset({SnapshotState.WRITING, SnapshotState.FAILED}),
        # A writer that fell silent gives its claim to another: back to waiting.
        SnapshotState.WRITING: frozenset({SnapshotState.READY, SnapshotState.FAILED, SnapshotState.WAITING}),
        SnapshotState.READY: frozenset({SnapshotState.WITHDRAWN}),
        SnapshotState.FAILED: frozenset({SnapshotState.WAITING}),
        SnapshotState.WITHDRAWN: frozenset(),
    }
)
BATCH_MOVES: Final[Mapping[BatchState, frozenset[BatchState]]] = MappingProxyType(
    {
        BatchState.PLANNED: frozenset({BatchState.OPEN}),
        BatchState.OPEN: frozenset({BatchState.SEALED}),
        BatchState.SEALED: frozenset(),
    }
)
