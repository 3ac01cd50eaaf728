"""Where a training run stands, in one file: weights that learn, AdamW's moments, and the step.

Knows safetensors and the shape of AdamW's state. Must not know losses or data. No pickle: a file from
elsewhere must never run code.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import nn

from rewardmodel.core.files import write_atomically


def save_checkpoint(file: Path, module: nn.Module, optimizer: torch.optim.AdamW, step: int) -> None:
    """Write the state after `step` steps; the file before it is replaced in one move."""
    learning = _learning(module)
    tensors = {f"parameter.{name}": parameter.detach() for name, parameter in learning.items()}
    for name, parameter in learning.items():
        state = optimizer.state[parameter]
        tensors[f"first_moment.{name}"] = state["exp_avg"]
        tensors[f"second_moment.{name}"] = state["exp_avg_sq"]
    ready = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
    write_atomically(file, save(ready, metadata={"step": str(step)}))


def load_checkpoint(file: Path, module: nn.Module, optimizer: torch.optim.AdamW) -> int:
    """Put the saved state into `module` and `optimizer`; return the steps done, 0 where there is no file."""
    if not file.exists():
        return 0
    with safe_open(file, framework="pt") as kept:
        step = int(kept.metadata()["step"])
        for name, parameter in _learning(module).items():
            with torch.no_grad():
                parameter.copy_(kept.get_tensor(f"parameter.{name}"))
            optimizer.state[parameter] = {
                "step": torch.tensor(float(step)),
                "exp_avg": kept.get_tensor(f"first_moment.{name}").to(parameter.device),
                "exp_avg_sq": kept.get_tensor(f"second_moment.{name}").to(parameter.device),
            }
    return step


def _learning(module: nn.Module) -> dict[str, nn.Parameter]:
    return {name: parameter for name, parameter in module.named_parameters() if parameter.requires_grad}
