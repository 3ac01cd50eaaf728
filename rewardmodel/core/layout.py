"""Which rows go through the model together: rows that share most stand side by side, in one packed row of trees.

Knows lengths, prefixes and a budget. Must not know tokens' meaning, tensors or models.

In lexicographic order all rows of a dialogue, all candidates of a prompt and all dialogues behind one system message
are neighbours. A batch is a stretch of that order, laid out as one trie, so that it has no fill and each distinct token
of it is computed once. With attention that follows the paths (attention.py) sharing never costs more than it saves,
however short the shared part.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from rewardmodel.core.tree import IntArray, TokenTree, common_prefix, grow, sort_key

# With gradients a small pass stays in a CPU's caches; without, the candidates of a long prompt should find room in one.
# A GPU wants to be filled.
CPU_BUDGET: Final = 1024
CPU_SCORING_BUDGET: Final = 4096
GPU_BUDGET: Final = 16_384


def token_budget(asked: int | None, device: str, *, gradients: bool = True) -> int:
    """Distinct tokens of one pass on a device ("cpu", "cuda"), where nobody asked for a number of them."""
    if asked:
        return asked
    if device != "cpu":
        return GPU_BUDGET
    return CPU_BUDGET if gradients else CPU_SCORING_BUDGET


@dataclass(frozen=True)
class Batch:
    """Rows that go through the model in one pass.

    Attributes:
        tree: their tokens, packed.
        rows: for each path of the tree, in order, the number of the caller's row.
        items: numbers of the caller's items, all of whose rows are in this batch; ascending.
    """

    tree: TokenTree
    rows: tuple[int, ...]
    items: tuple[int, ...]

    @property
    def tokens(self) -> int:
        """Distinct tokens, which is what the pass computes."""
        return len(self.tree)


def plan_batches(items: Sequence[Sequence[Sequence[int]]], *, tokens_per_batch: int) -> list[Batch]:
    """Arrange items into batches of at most `tokens_per_batch` distinct tokens.

    An item is rows that must pass together, as a pair whose loss needs both rewards; the rows are numbered
    through, item by item. An item longer than the budget gets a batch of its own. The plan depends on the
    content alone, so that a resumed run makes the same one.
    """
    numbered: list[list[tuple[int, IntArray]]] = []
    count = 0
    for item in items:
        numbered.append([(count + n, np.asarray(row, dtype=np.int64)) for n, row in enumerate(item)])
        count += len(item)
    order = sorted(range(len(items)), key=lambda n: (min(sort_key(row) for _, row in numbered[n]), n))
    batches: list[Batch] = []
    together: list[int] = []
    trie = Trie()
    for number in order:
        rows = [row for _, row in numbered[number]]
        trie.add(rows)
        if together and trie.tokens > tokens_per_batch:
            batches.append(_batch(together, numbered))
            together, trie = [], Trie()
            trie.add(rows)
        together.append(number)
    return [*batches, _batch(together, numbered)] if together else batches


class Trie:
    """How many tokens a growing set of rows has, each shared prefix counted once."""

    def __init__(self) -> None:
        self.tokens = 0
        self._keys: list[bytes] = []
        self._rows: list[IntArray] = []

    def add(self, rows: Sequence[IntArray]) -> None:
        for row in rows:
            key = sort_key(row)
            place = bisect(self._keys, key)
            # Of a sorted set nobody shares more with a row than its two neighbours.
            shared = max(
                (common_prefix(row, near) for near in self._rows[max(0, place - 1) : place + 1]), default=0
            )
            self.tokens += len(row) - shared
            self._keys.insert(place, key)
            self._rows.insert(place, row)


def _batch(items: Sequence[int], numbered: Sequence[Sequence[tuple[int, IntArray]]]) -> Batch:
    rows = [row for item in items for row in numbered[item]]
    return Batch(
        tree=grow([row for _, row in rows]),
        rows=tuple(number for number, _ in rows),
        items=tuple(sorted(items)),
    )
