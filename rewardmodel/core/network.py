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
from rewardmodel.core.reading import read_tree
from rewardmodel.core.tree import IntArray


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
        return pool(
            read_tree(self.backbone, batch.tree, pad=self.pad), batch.tree.paths, starts, self.pooling
        )

    def forward(self, batch: Batch, starts: Sequence[int]) -> Tensor:
        """Rewards, shape [rows of the batch]."""
        features = self.features(batch, starts)
        rewards: Tensor = self.head(features.to(self.head.weight.dtype))
        return rewards.squeeze(-1)


def pool(states: Tensor, paths: Sequence[IntArray], starts: Sequence[int], pooling: Pooling) -> Tensor:
    """Read the features of rows out of their tree's hidden states [T, width], as float32 [rows, features]."""
    where = [torch.from_numpy(path).to(states.device) for path in paths]
    last = states[torch.stack([path[-1] for path in where])].float()
    if pooling is Pooling.LAST:
        return last
    means = [states[path[start:]].float().mean(dim=0) for path, start in zip(where, starts, strict=True)]
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
