"""Where a training run stands, in one file: weights that learn, AdamW's moments, the step, and notes.

Knows safetensors and the shape of AdamW's state. Must not know losses or data. No pickle: a file from
elsewhere must never run code.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor

from annotation.core.records import canonical_json
from rewardmodel.core.files import write_atomically

STEP: Final = "step"
NOTES: Final = "notes"


def save_checkpoint(
    file: Path,
    module: nn.Module,
    optimizer: torch.optim.AdamW,
    step: int,
    *,
    notes: Mapping[str, str] | None = None,
    write: bool = True,
) -> None:
    """Write the state after `step` steps; the file before it is replaced in one move.

    `notes` go with it, so that they can never be of another step. Where parameters are spread over processes
    all of them call this, to put them together; one has `write`.
    """
    learning = _learning(module)
    if not write and not any(isinstance(parameter, DTensor) for parameter in learning.values()):
        return
    tensors = {}
    for name, parameter in learning.items():
        tensors[f"parameter.{name}"] = _whole(parameter.detach())
        if state := optimizer.state[parameter]:  # none where nothing has flowed to it yet
            tensors[f"first_moment.{name}"] = _whole(state["exp_avg"])
            tensors[f"second_moment.{name}"] = _whole(state["exp_avg_sq"])
    if write:
        ready = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
        if notes:  # as a tensor: metadata of several names is written in an order that varies
            ready[NOTES] = torch.tensor(list(canonical_json(dict(notes)).encode()), dtype=torch.uint8)
        write_atomically(file, save(ready, metadata={STEP: str(step)}))


def load_checkpoint(file: Path, module: nn.Module, optimizer: torch.optim.AdamW) -> int:
    """Put the saved state into `module` and `optimizer`; return the steps done, 0 where there is no file."""
    if not file.exists():
        return 0
    with safe_open(file, framework="pt") as kept:
        step = int(kept.metadata()[STEP])
        there = set(kept.keys())
        for name, parameter in _learning(module).items():
            _fill(parameter, kept.get_tensor(f"parameter.{name}"))
            if f"first_moment.{name}" not in there:
                continue
            optimizer.state[parameter] = {
                "step": torch.tensor(float(step)),
                "exp_avg": _like(parameter, kept.get_tensor(f"first_moment.{name}")),
                "exp_avg_sq": _like(parameter, kept.get_tensor(f"second_moment.{name}")),
            }
    return step


def load_weights(file: Path, module: nn.Module) -> None:
    """Put the saved weights alone into `module`."""
    with safe_open(file, framework="pt") as kept:
        for name, parameter in _learning(module).items():
            _fill(parameter, kept.get_tensor(f"parameter.{name}"))


def read_notes(file: Path) -> dict[str, str]:
    """The notes of the checkpoint; none where there is no file."""
    if not file.exists():
        return {}
    with safe_open(file, framework="pt") as kept:
        if NOTES not in kept.keys():  # noqa: SIM118 - it is no mapping
            return {}
        notes: dict[str, str] = json.loads(bytes(kept.get_tensor(NOTES).tolist()))
    return notes


def _fill(parameter: nn.Parameter, tensor: Tensor) -> None:
    with torch.no_grad():
        parameter.copy_(_like(parameter, tensor))


def _like(parameter: Tensor, tensor: Tensor) -> Tensor:
    """`tensor` on the parameter's device, and spread over processes as it is."""
    if isinstance(parameter, DTensor):
        return distribute_tensor(tensor.to(parameter.device), parameter.device_mesh, parameter.placements)
    return tensor.to(parameter.device)


def _whole(tensor: Tensor) -> Tensor:
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def _learning(module: nn.Module) -> dict[str, nn.Parameter]:
    return {name: parameter for name, parameter in module.named_parameters() if parameter.requires_grad}
