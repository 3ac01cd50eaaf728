"""Trees as tests want them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rewardmodel.core.tree import TokenTree


def join(trees: Sequence[TokenTree]) -> TokenTree:
    """Several trees one after the other: the rule keeps them apart without another word.

    Its paths are those of the first tree, then those of the second, and so on.
    """
    starts = np.cumsum([0, *(len(tree) for tree in trees)])
    placed = list(zip(trees, starts[:-1], strict=True))
    return TokenTree(
        tokens=np.concatenate([tree.tokens for tree in trees]),
        depth=np.concatenate([tree.depth for tree in trees]),
        exit=np.concatenate([tree.exit + start for tree, start in placed]),
        paths=tuple(path + start for tree, start in placed for path in tree.paths),
    )


def leaves(tree: TokenTree) -> list[int]:
    """The index of each row's last token. Rows that are equal share it."""
    return [int(path[-1]) for path in tree.paths]
