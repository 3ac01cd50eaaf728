"""A policy as fine-tuning sees it: a decoder, a head, and the loss of packed examples.

Knows how a pack is read and where its losses come from. Must not know text, files or steps of training.

Two networks agree. TreePolicy reads a pack as one row of token trees and asks its head for nothing that is not learnt.
RowPolicy reads every example as a row of its own through the model's own forward pass; it is for models that do more
with hidden states than a head does (scaled or capped logits, adapters on the head), and computes shared tokens again.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel

from rewardmodel.core.backbone import backbone_of
from rewardmodel.core.reading import ROW_ATTENTION, choose_attention, read_tree
from training.core.head_loss import Asked, losses, summed_loss
from training.core.packing import Pack

PROBE: Final = (3, 4, 5, 6, 7)  # tokens on which a head is compared with its model
AGREES: Final = {torch.float32: 1e-4, torch.float64: 1e-6}  # of the largest logit; else:
AGREES_ROUGHLY: Final = 0.05


class TreePolicy(nn.Module):
    """The decoder reads a pack as one row; see the module."""

    def __init__(self, backbone: nn.Module, head: nn.Linear, *, pad: int) -> None:
        super().__init__()
        self.backbone, self.head, self.pad = backbone, head, pad

    def forward(self, pack: Pack, *, each: bool = False) -> Tensor:
        """The loss summed over all that the pack's examples learn; or if `each` that of each thing to learn, [N]."""
        states = read_tree(self.backbone, pack.tree, pad=self.pad)
        reads = torch.from_numpy(pack.reads).to(states.device)
        found = losses if each else summed_loss
        return found(states[reads], self.head, _asked(pack, states.device))


class RowPolicy(nn.Module):
    """The model reads every example of a pack alone, filled up on the right; see the module."""

    def __init__(self, model: PreTrainedModel, *, pad: int) -> None:
        super().__init__()
        self.model, self.pad = model, pad

    @property
    def backbone(self) -> nn.Module:
        """What activation checkpointing is for."""
        return self.model

    @property
    def head(self) -> nn.Module | None:
        """What tells the device."""
        return _head_of(self.model)

    def forward(self, pack: Pack, *, each: bool = False) -> Tensor:
        """As TreePolicy.forward. A causal decoder needs no mask: nothing before the fill sees it."""
        paths = pack.tree.paths
        rows = np.full((len(paths), max(map(len, paths))), self.pad)
        row_of = np.zeros(len(pack.tree), dtype=np.int64)
        for number, path in enumerate(paths):
            rows[number, : len(path)] = pack.tree.tokens[path]
            row_of[path] = number  # any row that a token is in reads it alike
        at = pack.reads[pack.place]
        row, column = row_of[at], pack.tree.depth[at]
        first = int(column.min())
        device = self.model.device
        untyped: Any = self.model
        logits = untyped(
            input_ids=torch.from_numpy(rows).to(device),
            logits_to_keep=rows.shape[1] - first,
            use_cache=False,
        ).logits
        read = logits[torch.from_numpy(row).to(device), torch.from_numpy(column - first).to(device)]
        asked = _asked(pack, device)
        found = functional.cross_entropy(read.float(), asked.token, reduction="none")
        return found if each else (asked.count * found).sum()


Policy = TreePolicy | RowPolicy


def network_of(model: PreTrainedModel, *, pad: int) -> Policy:
    """The fastest network whose losses are those of `model`; what learns of it, learns of the model itself.

    What a model does with its head is not believed but compared, on a few tokens, with the head alone.
    """
    untyped: Any = model
    untyped.set_attn_implementation(ROW_ATTENTION)
    head = _head_of(model)
    if type(head) is not nn.Linear or not _is_all(model, head):
        return RowPolicy(model, pad=pad)
    backbone = backbone_of(model)
    choose_attention(backbone, model.device)
    return TreePolicy(backbone, head, pad=pad)


def _is_all(model: PreTrainedModel, head: nn.Linear) -> bool:
    """Whether the head alone makes the model's logits of the decoder's states."""
    ids = torch.tensor([PROBE], device=model.device)
    untyped: Any = model
    with torch.inference_mode():
        logits = untyped(input_ids=ids, use_cache=False).logits
        try:
            found = head(backbone_of(model)(input_ids=ids, use_cache=False).last_hidden_state)
        except (
            ValueError,
            AttributeError,
            RuntimeError,
        ):  # no decoder of its own, or states of another width
            return False
        bound = AGREES.get(logits.dtype, AGREES_ROUGHLY) * float(logits.abs().max())
        return float((found - logits).abs().max()) <= bound


def _head_of(model: PreTrainedModel) -> nn.Module | None:
    untyped: Any = model
    head: nn.Module | None = untyped.get_output_embeddings()
    return head


def _asked(pack: Pack, device: torch.device) -> Asked:
    return Asked(
        torch.from_numpy(pack.place).to(device),
        torch.from_numpy(pack.token).to(device),
        torch.from_numpy(pack.count).to(device, torch.float32),
    )
