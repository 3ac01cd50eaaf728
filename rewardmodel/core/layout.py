"""Which rows share a tree, and which trees go through the model together.

Knows lengths and what they cost. Must not know tokens' meaning, tensors or models.

Sharing computes fewer tokens but attends over a longer row with a mask. It is chosen where it is cheaper; a
short prompt with long answers stays in rows of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from rewardmodel.core.tree import IntArray, TokenTree, common_prefix, grow, sort_key

# Row lengths at which attention costs as much as all matrix products of a layer: without a mask (causal), and
# with one. Measured with SmolLM2-135M in float32 on two CPU cores; other decoders have like proportions.
CHAIN_SQUARE: Final = 6000.0
TREE_SQUARE: Final = 2800.0


@dataclass(frozen=True)
class Batch:
    """Trees that go through the model in one pass.

    Attributes:
        trees: one a row of the pass.
        rows: for each path of each tree, in order, the number of the caller's row.
        items: numbers of the caller's items, all of whose rows are in this batch; ascending.
    """

    trees: tuple[TokenTree, ...]
    rows: tuple[int, ...]
    items: tuple[int, ...]

    @property
    def tokens(self) -> int:
        """Distinct tokens, without the fill."""
        return sum(len(tree) for tree in self.trees)


@dataclass
class _Clump:
    """Items that share one tree, or (`shared` false) one item whose rows stand alone."""

    items: list[int]
    members: list[tuple[int, IntArray]]  # the caller's row number and the row
    length: int  # of the tree, or of the longest row
    shared: bool

    def groups(self) -> list[list[tuple[int, IntArray]]]:
        return [self.members] if self.shared else [[member] for member in self.members]


def plan_batches(items: Sequence[Sequence[Sequence[int]]], *, tokens_per_batch: int) -> list[Batch]:
    """Arrange items into batches of at most `tokens_per_batch` tokens, fill included.

    An item is rows that must pass together, as a pair whose loss needs both rewards; the rows are numbered
    through, item by item. An item longer than the budget gets a batch of its own. The plan depends on the
    content alone, so that a resumed run makes the same one.
    """
    numbered: list[list[tuple[int, IntArray]]] = []
    count = 0
    for item in items:
        numbered.append([(count + n, np.asarray(row, dtype=np.int64)) for n, row in enumerate(item)])
        count += len(item)
    clumps = _clumps(numbered, tokens_per_batch)
    # Chains apart from trees, since one tree's mask would be paid for by all; then like lengths together.
    clumps.sort(key=lambda clump: (clump.shared, -clump.length, clump.items[0]))
    return [_batch(group) for group in _within_budget(clumps, tokens_per_batch)]


def cost(length: int, *, square: float) -> float:
    """Cost of one row in units of a token's matrix products: linear plus attention."""
    return length + length * length / square


def _clumps(items: list[list[tuple[int, IntArray]]], budget: int) -> list[_Clump]:
    clumps: list[_Clump] = []
    order = sorted(range(len(items)), key=lambda n: (min(sort_key(row) for _, row in items[n]), n))
    for number in order:
        alone = _alone(number, items[number])
        together = _joined(clumps[-1], alone) if clumps else None
        if together is not None and together.length <= budget:
            before, after = _cost_of(clumps[-1]) + _cost_of(alone), _cost_of(together)
            if after <= before:
                clumps[-1] = together
                continue
        clumps.append(alone)
    return clumps


def _alone(number: int, members: list[tuple[int, IntArray]]) -> _Clump:
    longest = max(len(row) for _, row in members)
    apart = _Clump([number], members, longest, shared=False)
    shared = _Clump([number], members, distinct_tokens([row for _, row in members]), shared=True)
    return shared if len(members) > 1 and _cost_of(shared) <= _cost_of(apart) else apart


def _joined(clump: _Clump, item: _Clump) -> _Clump | None:
    if not clump.shared and len(clump.members) > 1:
        return None
    members = [*clump.members, *item.members]
    size = distinct_tokens([row for _, row in members])
    return _Clump([*clump.items, *item.items], members, size, shared=True)


def _cost_of(clump: _Clump) -> float:
    if clump.shared:
        return cost(clump.length, square=TREE_SQUARE)
    return sum(cost(len(row), square=CHAIN_SQUARE) for _, row in clump.members)


def distinct_tokens(rows: Sequence[IntArray]) -> int:
    """Length of the tree of `rows`, without growing it."""
    ordered = sorted(rows, key=sort_key)
    total = len(ordered[0])
    for before, row in pairwise(ordered):
        total += len(row) - common_prefix(before, row)
    return total


def _within_budget(clumps: list[_Clump], budget: int) -> Iterator[list[_Clump]]:
    current: list[_Clump] = []
    rows = width = 0
    for clump in clumps:
        more = rows + len(clump.groups())
        wider = max(width, clump.length)
        if current and (more * wider > budget or current[-1].shared is not clump.shared):
            yield current
            current, more, wider = [], len(clump.groups()), clump.length
        current.append(clump)
        rows, width = more, wider
    if current:
        yield current


def _batch(clumps: list[_Clump]) -> Batch:
    groups = [group for clump in clumps for group in clump.groups()]
    return Batch(
        trees=tuple(grow([row for _, row in group]) for group in groups),
        rows=tuple(number for group in groups for number, _ in group),
        items=tuple(sorted(item for clump in clumps for item in clump.items)),
    )
