"""Attention over packed token trees: the rule of `tree.py`, computed where it allows and hardly anywhere else.

Knows runs of a preorder, SDPA and transformers' registry of attentions. Must not know rewards, text or models.

A dense mask over many trees in one row would spend most of its time on forbidden pairs. Here each run of a tree, that
is tokens each of which follows the one before, attends to its own path: a run from a root is plain causal attention,
which skips what lies ahead; a branch sees its path and itself. No model's code is touched: transformers calls what is
registered under a model's `_attn_implementation`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AttentionInterface

from rewardmodel.core.tree import IntArray

TREE_ATTENTION: Final = "margin_token_tree"


@dataclass(frozen=True)
class Run:
    """Tokens each of which is the child of the one before, as numbers of pieces of a row.

    Attributes:
        above: the pieces on the path to the run's first token, from the root down; empty at a root.
        own: the run's pieces.
    """

    above: tuple[int, ...]
    own: tuple[int, ...]


@dataclass(frozen=True)
class RowRuns:
    """A packed row cut into pieces wherever a run begins or branches off.

    Attributes:
        sizes: tokens of each piece, in order; they sum to the row's length.
        runs: in order; each piece is the own one of exactly one run.
    """

    sizes: tuple[int, ...]
    runs: tuple[Run, ...]


def runs_of(depth: IntArray) -> RowRuns:
    """The runs of trees in preorder, given the depth of each token, shape [T]."""
    starts = [0, *(np.flatnonzero(np.diff(depth) != 1) + 1).tolist()]
    bounds = list(pairwise([*starts, len(depth)]))
    paths: list[list[tuple[int, int]]] = []
    path: list[tuple[int, int]] = []
    for start, stop in bounds:
        path = _first(path, int(depth[start]))
        paths.append(path)
        path = [*path, (start, stop)]
    cuts = sorted({0, len(depth), *starts, *(stop for spans in paths for _, stop in spans)})
    number = {cut: index for index, cut in enumerate(cuts)}

    def pieces(start: int, stop: int) -> range:
        return range(number[start], number[stop])

    runs = [
        Run(tuple(piece for span in above for piece in pieces(*span)), tuple(pieces(*own)))
        for above, own in zip(paths, bounds, strict=True)
    ]
    return RowRuns(tuple(stop - start for start, stop in pairwise(cuts)), tuple(runs))


def _first(spans: Sequence[tuple[int, int]], length: int) -> list[tuple[int, int]]:
    """The first `length` tokens of spans [start, stop)."""
    kept: list[tuple[int, int]] = []
    for start, stop in spans:
        taken = min(stop - start, length)
        if taken > 0:
            kept.append((start, start + taken))
        length -= taken
    return kept


def attend(query: Tensor, key: Tensor, value: Tensor, row: RowRuns, *, scale: float | None = None) -> Tensor:
    """Attention of one packed row under the rule.

    Args:
        query: shape [1, heads, T, width of a head].
        key, value: shape [1, heads, T, width of a head].
        row: the runs of the T tokens.

    Returns:
        Shape [1, heads, T, width of a head].
    """
    # Split once: the gradient of each slice alone would be a row of zeros with a few numbers in it.
    queries, keys, values = (torch.split(states, list(row.sizes), dim=2) for states in (query, key, value))
    attended = []
    for run in row.runs:
        path = (*run.above, *run.own)
        behind = sum(row.sizes[piece] for piece in run.above)
        length = sum(row.sizes[piece] for piece in run.own)
        # Behind a short path it is cheaper to ask for the path again: causal attention skips half of its square.
        replayed = behind < length
        asked = _joined(queries, path if replayed else run.own)
        read = functional.scaled_dot_product_attention(
            asked,
            _joined(keys, path),
            _joined(values, path),
            attn_mask=None if replayed else _ahead(asked, behind + length),
            is_causal=replayed,
            scale=scale,
        )
        attended.append(read[:, :, behind:] if replayed and behind else read)
    return _joined(attended, range(len(attended)))


def _joined(pieces: Sequence[Tensor], which: Sequence[int]) -> Tensor:
    return pieces[which[0]] if len(which) == 1 else torch.cat([pieces[number] for number in which], dim=2)


def _ahead(query: Tensor, path: int) -> Tensor:
    """The additive mask of a branch at the end of its path: nothing is hidden but what lies ahead."""
    own = query.shape[2]
    return query.new_full((own, path), torch.finfo(query.dtype).min).triu_(path - own + 1)


def tree_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    scaling: float | None = None,
    row_runs: RowRuns | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """What transformers calls in each layer; `row_runs` comes through the model's own keyword arguments."""
    if row_runs is None:
        raise ValueError(f"{type(module).__name__} does not hand the runs of its row on to its attention")
    groups = query.shape[1] // key.shape[1]
    if groups > 1:
        key, value = key.repeat_interleave(groups, dim=1), value.repeat_interleave(groups, dim=1)
    attended = attend(query, key, value, row_runs, scale=scaling)
    return attended.transpose(1, 2).contiguous(), None


AttentionInterface.register(TREE_ATTENTION, tree_attention)
