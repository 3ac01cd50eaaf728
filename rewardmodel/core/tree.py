"""The token tree: rows that share prefixes, laid out so that every distinct token is computed once.

Knows token ids, preorder and the attention rule. Must not know rewards, text or a model's internals.

Put the rows of a dialogue (prompt and response) into a trie and write it in preorder. Per token keep its
depth, which is its position id, and its exit: the index after the last token below it. Token q may attend to
token k exactly when `k <= q < exit[k]`. That one rule is causal attention along each branch, and, with
several trees one after the other in a row, also the block-diagonal mask between them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class TokenTree:
    """One tree, or several one after the other; T tokens in preorder.

    Attributes:
        tokens: token ids, shape [T].
        depth: tokens above each token in its own tree, shape [T]; the position ids.
        exit: index after each token's subtree, shape [T].
        paths: for each row, in the order given, the indices of its tokens, shape [length of the row].
    """

    tokens: IntArray
    depth: IntArray
    exit: IntArray
    paths: tuple[IntArray, ...]

    def __len__(self) -> int:
        return len(self.tokens)

    def may_attend(self) -> npt.NDArray[np.bool_]:
        """The rule as a matrix, shape [T, T]: entry (q, k) says whether q sees k."""
        index = np.arange(len(self))
        return (index[None, :] <= index[:, None]) & (index[:, None] < self.exit[None, :])


def grow(rows: Sequence[Sequence[int] | IntArray]) -> TokenTree:
    """The tree of `rows`. In lexicographic order neighbours share most, and their trie comes out in preorder.

    Raises:
        ValueError: if there is no row, or a row has no token to read a reward at.
    """
    arrays = [np.asarray(row, dtype=np.int64) for row in rows]
    if not arrays or any(len(array) == 0 for array in arrays):
        raise ValueError("a tree needs rows, and every row needs a token")
    pieces: list[IntArray] = []
    depths: list[IntArray] = []
    paths: list[IntArray] = [np.empty(0, dtype=np.int64)] * len(arrays)
    size, previous, path = 0, np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    for number in sorted(range(len(arrays)), key=lambda n: sort_key(arrays[n])):
        row = arrays[number]
        shared = common_prefix(previous, row)
        fresh = len(row) - shared
        pieces.append(row[shared:])
        depths.append(np.arange(shared, len(row)))
        path = np.concatenate([path[:shared], np.arange(size, size + fresh)])
        paths[number] = path
        size, previous = size + fresh, row
    depth = np.concatenate(depths)
    return TokenTree(np.concatenate(pieces), depth, _exits(depth), tuple(paths))


def common_prefix(one: IntArray, other: IntArray) -> int:
    """How many tokens two rows share from their beginning."""
    length = min(len(one), len(other))
    differs = np.flatnonzero(one[:length] != other[:length])
    return int(differs[0]) if len(differs) else length


def sort_key(row: IntArray) -> bytes:
    """Bytes that sort as the row's tokens do."""
    return row.astype(">u4").tobytes()


def _exits(depth: IntArray) -> IntArray:
    """For each token the next one that is not deeper: the end of its subtree in preorder."""
    exits = np.full(len(depth), len(depth), dtype=np.int64)
    above: list[int] = []
    for index, level in enumerate(depth):
        while len(above) > level:
            exits[above.pop()] = index
        above.append(index)
    return exits
