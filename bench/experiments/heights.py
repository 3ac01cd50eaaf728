"""Hidden states of a frozen backbone at several heights in one pass, kept in files so that a repeat is fast.

Knows rows, layers and cache files. Must not know preferences, folds or heads.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn
from transformers import PreTrainedModel

from rewardmodel.core.features import read_batches
from rewardmodel.core.files import write_atomically
from rewardmodel.core.layout import plan_batches
from rewardmodel.core.network import Pooling, RewardNetwork
from rewardmodel.core.reading import choose_attention
from rewardmodel.core.rows import Row

TOKENS_PER_BATCH: Final = 4096  # one file; what is lost when the measurement is stopped


class Heights(nn.Module):
    """Takes the place of a decoder's final norm and gives the states behind several layers, side by side.

    The final norm was trained for the last layer's states alone; the probe standardises by itself.
    """

    def __init__(self, layers: Sequence[nn.Module], heights: Sequence[float]) -> None:
        super().__init__()
        self._kept: dict[int, Tensor] = {}
        self.numbers = [max(1, round(height * len(layers))) for height in heights]
        for number in self.numbers:
            layers[number - 1].register_forward_hook(self._keeper(number))

    def _keeper(self, number: int) -> Callable[..., None]:
        def keep(_module: nn.Module, _inputs: Any, output: Any) -> None:
            self._kept[number] = output[0] if isinstance(output, tuple) else output

        return keep

    def forward(self, _states: Tensor) -> Tensor:
        return torch.cat([self._kept[number] for number in self.numbers], dim=-1)


def network_at(backbone: PreTrainedModel, heights: Sequence[float], pad: int) -> RewardNetwork:
    """A network whose features are those of all heights; layers above the highest are not computed."""
    decoder: Any = backbone
    width = int(decoder.config.hidden_size)
    picked = Heights(list(decoder.layers), heights)
    decoder.layers = decoder.layers[: max(picked.numbers)]
    decoder.config.num_hidden_layers = len(decoder.layers)
    decoder.norm = picked
    choose_attention(backbone, torch.device("cpu"))
    network = RewardNetwork(
        backbone, width=width * len(heights), pooling=Pooling.LAST_AND_MEAN, pad=pad
    ).requires_grad_(False)
    return network.eval()


def encode(
    build: Callable[[], RewardNetwork], rows: Sequence[Row], *, heights: int, cache: Path, computes: str
) -> Tensor:
    """Features of `rows`, float32, shape [rows, heights, 2, width]: last state, then mean.

    Equal rows are computed once, in batches that share what rows have in common; a batch is a file, so that a
    measurement that was stopped goes on. `computes` names weights, heights and dtype: a file is found again by it
    and by the content of its rows. `build` makes the network, which is asked for only where a file is missing.
    """
    cache.mkdir(parents=True, exist_ok=True)
    distinct = list(dict.fromkeys(rows))
    batches = plan_batches([[row.tokens] for row in distinct], tokens_per_batch=TOKENS_PER_BATCH)
    network: RewardNetwork | None = None
    found: dict[Row, Tensor] = {}
    for batch in batches:
        members = [distinct[number] for number in batch.rows]
        file = cache / f"{_digest(members, computes)}.safetensors"
        if not file.exists():
            network = network or build()
            (features,) = read_batches(network, distinct, [batch])
            write_atomically(file, save({"features": features.contiguous()}))
        found.update(zip(members, load_file(file)["features"], strict=True))
    stacked = torch.stack([found[row] for row in rows])
    return stacked.reshape(len(rows), 2, heights, -1).transpose(1, 2).contiguous()


def _digest(rows: Sequence[Row], computes: str) -> str:
    digest = hashlib.sha256(computes.encode())
    for row in rows:
        digest.update(f"|{row.start}:{row.tokens}".encode())
    return digest.hexdigest()[:32]
