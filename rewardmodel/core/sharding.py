"""Parameters spread over processes (FSDP), for backbones whose training does not fit into one GPU.

Knows torch's fully_shard. Must not know losses or data.

A process still reads the whole model, into its main memory; the GPUs hold parts of it, of its gradients and of
AdamW's moments. Tried with two processes on a CPU; not yet on GPUs.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

from rewardmodel.core.checkpoint import load_weights
from rewardmodel.core.network import RewardNetwork


@contextmanager
def spread(network: RewardNetwork, file: Path, *, on: bool) -> Iterator[RewardNetwork]:
    """The network to train: itself, or if `on` this process's part of it.

    The last checkpoint, `file`, holds the parts put together; from it `network` gets its weights in the end.
    """
    if not on:
        yield network
        return
    device = network.head.weight.device
    parts = copy.deepcopy(network.cpu())
    mesh = init_device_mesh(device.type, (torch.distributed.get_world_size(),))
    for layers in [module for name, module in parts.named_modules() if name.endswith("layers")]:
        for layer in layers.children() if isinstance(layers, nn.ModuleList) else ():
            fully_shard(layer, mesh=mesh)
    fully_shard(parts, mesh=mesh)
    yield parts
    torch.distributed.barrier()  # the leading process has written the file
    load_weights(file, network)
    network.to(device)


def number_of(norm: Tensor) -> float:
    """A scalar, whether it is spread or not."""
    return float(norm.full_tensor() if isinstance(norm, DTensor) else norm)
