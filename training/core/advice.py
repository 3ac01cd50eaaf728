"""What to change in a run that does not fit into a machine's memory.

Knows parameters and estimates. Must not know rows or files, nor import torch.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pydantic import ValidationError

from training.core.estimate_run import SERVER, Params, Work, estimate_kind
from training.core.launch_plan import is_shared
from training.core.sizes import GIB, Machine
from training.core.spec import SPECS, RunKind

# What may be changed so that a run needs less memory, the cheapest in quality and time first.
SPARING: Final[tuple[Params, ...]] = (
    {"gradient_checkpointing": "on"},
    {"recipe": "lora"},
    {"recipe": "lora", "gradient_checkpointing": "on"},
    {"recipe": "lora", "quantization": "4bit"},
    {"recipe": "lora", "quantization": "4bit", "gradient_checkpointing": "on"},
    {"tokens_per_batch": 4096},
    {"tokens_per_batch": 4096, "sampled_tokens_per_batch": 4096},
    {"tokens_per_batch": 2048, "sampled_tokens_per_batch": 2048, "reward_device": "cpu"},
    {"recipe": "lora", "quantization": "4bit", "gradient_checkpointing": "on", "tokens_per_batch": 2048},
)
MOST_DEVICES: Final = 64


def warnings_of(
    kind: RunKind, params: Params, work: Work, machine: Machine, *, sharded: bool = False
) -> list[str]:
    """Why a run would not fit into `machine`, and what would; empty: it fits, or nothing can be said."""
    found = estimate_kind(kind, params, work, machine, sharded=sharded)
    if found is None or found.fits(machine):
        return []
    have = f"{machine.memory_bytes / GIB:.0f} GiB"
    each = " each" if machine.count > 1 else ""
    said = f"It does not fit: about {found.gib:.0f} GiB are wanted, a {machine.name} has {have}{each}."
    return [said, *_ways_out(kind, params, work, machine, sharded)]


def _ways_out(kind: RunKind, params: Params, work: Work, machine: Machine, sharded: bool) -> Iterator[str]:
    ways = [way for way in SPARING if _applies(kind, params, way)]
    for way in ways:
        other = estimate_kind(kind, {**params, **way}, work, machine, sharded=sharded)
        if other is not None and other.fits(machine):
            words = ", ".join(f"{name} {value}" for name, value in way.items() if params[name] != value)
            yield f"With {words} it does: about {other.gib:.0f} GiB."
            break
    if is_shared(kind, params):
        count = machine.count if sharded else 1
        while count < MOST_DEVICES:
            count *= 2
            spread = estimate_kind(kind, params, work, machine.times(count), sharded=True)
            if spread is not None and spread.fits(machine):
                yield f"So it does spread over {count} {machine.name} (FSDP): about {spread.gib:.0f} GiB each."
                break
    if "backend" in SPECS[kind].model_fields and params["backend"] != SERVER:
        yield "A server that spreads the policy over several GPUs can draw its responses: backend server."


def _applies(kind: RunKind, params: Params, way: Params) -> bool:
    """Whether the kind has all these parameters, takes these values, and something would change."""
    if any(name not in params for name in way) or all(params[name] == value for name, value in way.items()):
        return False
    if any(name.endswith("tokens_per_batch") and 0 < params[name] < way[name] for name in way):
        return False  # it has less already
    try:
        SPECS[kind].model_validate({**params, **way})
    except ValidationError:
        return False
    return True
