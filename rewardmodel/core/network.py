"""A decoder, a place to read it at, and a linear head: what every recipe's reward model is.

Knows hidden states and how they become one number a row. Must not know text, losses or files.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from rewardmodel.core.layout import Batch
from rewardmodel.core.tree import TreeBatch, collate


class Pooling(StrEnum):
    """Which hidden states of a row the head sees."""

    LAST = "last"  # the response's last token, its end of turn
    LAST_AND_MEAN = "last_and_mean"  # that, and the mean over the response's tokens


class RewardNetwork(nn.Module):
    """Rewards of the rows of a batch: `head(pool(backbone(trees)))`, in the head's dtype.

    The head has a bias. Preferences alone leave it free, but a safety label speaks about one response, and
    `sigmoid(r)` is to mean "safe".
    """

    def __init__(self, backbone: nn.Module, *, width: int, pooling: Pooling, pad: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.pooling = pooling
        self.pad = pad
        self.head = nn.Linear(features_of(width, pooling), 1)

    def features(self, batch: Batch, starts: Sequence[int]) -> Tensor:
        """Pooled hidden states in float32, shape [rows of the batch, features].

        `starts` gives, for each row of the batch, in order, the index of its first response token.
        """
        parameter = next(self.backbone.parameters())
        inputs = collate(batch.trees, pad=self.pad, device=parameter.device, dtype=parameter.dtype)
        return pool(hidden_states(self.backbone, inputs), batch, starts, self.pooling)

    def forward(self, batch: Batch, starts: Sequence[int]) -> Tensor:
        """Rewards, shape [rows of the batch]."""
        features = self.features(batch, starts)
        rewards: Tensor = self.head(features.to(self.head.weight.dtype))
        return rewards.squeeze(-1)


def hidden_states(backbone: nn.Module, inputs: TreeBatch) -> Tensor:
    """The decoder's last hidden states, shape [B, T, width]."""
    output: Any = backbone(
        input_ids=inputs.input_ids,
        attention_mask=inputs.mask,
        position_ids=inputs.position_ids,
        use_cache=False,
    )
    states: Tensor = output.last_hidden_state
    return states


def pool(states: Tensor, batch: Batch, starts: Sequence[int], pooling: Pooling) -> Tensor:
    """Read each row's features out of hidden states [B, T, width], as float32 [rows, features]."""
    paths = [(row, torch.from_numpy(path)) for row, tree in enumerate(batch.trees) for path in tree.paths]
    where = torch.tensor([row for row, _ in paths]), torch.stack([path[-1] for _, path in paths])
    last = states[where].float()
    if pooling is Pooling.LAST:
        return last
    means = [
        states[row, path[start:].to(states.device)].float().mean(dim=0)
        for (row, path), start in zip(paths, starts, strict=True)
    ]
    return torch.cat([last, torch.stack(means)], dim=1)


def features_of(width: int, pooling: Pooling) -> int:
    return 2 * width if pooling is Pooling.LAST_AND_MEAN else width


def lower_layers(backbone: PreTrainedModel, fraction: float) -> PreTrainedModel:
    """The decoder cut off above `fraction` of its layers (at least one); the final norm goes too.

    The layers above are never computed, and their memory is free. The final norm was trained for the last
    layer's states, and the probe standardises by itself.

    Raises:
        ValueError: if the decoder does not keep its blocks in `layers` and its last norm in `norm`.
    """
    cut: Any = backbone
    if not isinstance(getattr(cut, "layers", None), nn.ModuleList) or not hasattr(cut, "norm"):
        raise ValueError(
            f"{type(backbone).__name__} has no list of layers that could be cut; use lora or full"
        )
    keep = max(1, round(fraction * len(cut.layers)))
    cut.layers = cut.layers[:keep]
    cut.config.num_hidden_layers = keep
    cut.norm = nn.Identity()
    return backbone
