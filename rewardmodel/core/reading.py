"""A decoder reads a packed row of token trees: three ways that agree, chosen by device and by what the decoder can.

Knows transformers' attention implementations, positions and padding. Must not know rewards or text.

- runs: attention run by run (attention.py); on a CPU, and wherever FlexAttention is not to be had.
- blocks: FlexAttention with a block mask made from the same rule; on a GPU.
- rows: every row alone, filled up on the right to the longest; for a decoder whose attention is its own (a sliding
  window, a soft cap, no registry). It computes shared tokens again, and is right for any causal decoder.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.attention.flex_attention import BlockMask, create_block_mask

from rewardmodel.core.attention import TREE_ATTENTION, runs_of
from rewardmodel.core.tree import IntArray, TokenTree, grow

logger = logging.getLogger(__name__)

BLOCK_ATTENTION: Final = "flex_attention"
ROW_ATTENTION: Final = "sdpa"
BLOCK: Final = 128  # FlexAttention's; rows of like length share a compiled kernel
# What the check of a decoder reads: a trunk, two branches, a branch of a branch, and a second tree.
PROBE_ROWS: Final = ([3, 4, 5, 6, 7], [3, 4, 5, 8], [3, 9, 10], [11, 12])
AGREES: Final = {torch.float32: 1e-3, torch.float64: 1e-6}  # of the largest hidden state; else:
AGREES_ROUGHLY: Final = 0.1


def choose_attention(backbone: nn.Module, device: torch.device) -> str:
    """Give `backbone` the fastest attention that reads packed rows rightly, and return its name.

    What a decoder does with a packed row is not believed but compared, on a few tokens, with its rows read alone.
    """
    reference = _read_probe(backbone, ROW_ATTENTION)
    for name in _candidates(backbone, device):
        try:
            found = _read_probe(backbone, name)
        except (ValueError, TypeError, RuntimeError, NotImplementedError) as error:
            logger.warning("%s does not take %s: %s", type(backbone).__name__, name, error)
            continue
        bound = AGREES.get(reference.dtype, AGREES_ROUGHLY) * float(reference.abs().max())
        if float((found - reference).abs().max()) <= bound:
            return name
    logger.warning("%s cannot read packed rows; every row is read alone.", type(backbone).__name__)
    _use(backbone, ROW_ATTENTION)
    return ROW_ATTENTION


def _candidates(backbone: nn.Module, device: torch.device) -> list[str]:
    config: Any = backbone.config
    if getattr(config, "sliding_window", None) is not None:  # longer than what is compared
        return []
    return [BLOCK_ATTENTION, TREE_ATTENTION] if device.type == "cuda" else [TREE_ATTENTION]


def read_tree(backbone: nn.Module, tree: TokenTree, *, pad: int) -> Tensor:
    """The decoder's last hidden states of a packed row, shape [T, width]."""
    config: Any = backbone.config
    return READERS.get(config._attn_implementation, _read_rows)(backbone, tree, pad)


def block_mask(exits: Tensor) -> BlockMask:
    """The rule for FlexAttention, from the exit of each token, shape [T]; a token beyond the trees sees itself."""

    def allowed(_batch: Tensor, _head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return (key <= query) & (query < exits[key])

    return create_block_mask(allowed, None, None, len(exits), len(exits), device=exits.device)


def _read_runs(backbone: nn.Module, tree: TokenTree, _pad: int) -> Tensor:
    return _states(backbone, tree.tokens, tree.depth, row_runs=runs_of(tree.depth))


def _read_blocks(backbone: nn.Module, tree: TokenTree, pad: int) -> Tensor:
    fill = -len(tree) % BLOCK
    tokens = np.concatenate([tree.tokens, np.full(fill, pad)])
    depth = np.concatenate([tree.depth, np.zeros(fill, dtype=np.int64)])
    exits = np.concatenate([tree.exit, np.arange(len(tree), len(tree) + fill) + 1])
    mask = block_mask(torch.from_numpy(exits).to(_device(backbone)))
    return _states(backbone, tokens, depth, attention_mask=mask)[: len(tree)]


def _read_rows(backbone: nn.Module, tree: TokenTree, pad: int) -> Tensor:
    """Filled up on the right, a causal decoder needs no mask: nothing before the fill sees it."""
    width = max(len(path) for path in tree.paths)
    input_ids = np.full((len(tree.paths), width), pad)
    owner = np.zeros(len(tree), dtype=np.int64)
    for number, path in enumerate(tree.paths):
        input_ids[number, : len(path)] = tree.tokens[path]
        owner[path] = number
    untyped: Any = backbone
    ids = torch.from_numpy(input_ids).to(_device(backbone))
    states: Tensor = untyped(input_ids=ids, use_cache=False).last_hidden_state
    return states[torch.from_numpy(owner).to(ids.device), torch.from_numpy(tree.depth).to(ids.device)]


READERS: Final[dict[str, Callable[[nn.Module, TokenTree, int], Tensor]]] = {
    TREE_ATTENTION: _read_runs,
    BLOCK_ATTENTION: _read_blocks,
}


def _states(backbone: nn.Module, tokens: IntArray, depth: IntArray, **layout: Any) -> Tensor:
    device = _device(backbone)
    output: Any = backbone(
        input_ids=torch.from_numpy(tokens)[None].to(device),
        position_ids=torch.from_numpy(depth)[None].to(device),
        use_cache=False,
        **layout,
    )
    states: Tensor = output.last_hidden_state
    return states[0]


def _device(backbone: nn.Module) -> torch.device:
    return next(backbone.parameters()).device


def _use(backbone: nn.Module, attention: str) -> None:
    untyped: Any = backbone
    untyped.set_attn_implementation(attention)


def _read_probe(backbone: nn.Module, attention: str) -> Tensor:
    _use(backbone, attention)
    with torch.inference_mode():
        return read_tree(backbone, grow(PROBE_ROWS), pad=0)
