"""What would be launched for a run, without launching it: commands, queue, memory, time and warnings; and a table of
them for LLAMA-2's sizes.

Knows the other modules of estimates and launches. Must not know rows, files or Django, nor import torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from training.core.advice import warnings_of
from training.core.estimate import Estimate, generation
from training.core.estimate_run import RESPONSE_TOKENS, Work, estimate_kind
from training.core.launch_plan import (
    Place,
    as_line,
    commands_of,
    is_shared,
    joining_commands,
    serve_commands,
    visible_devices,
)
from training.core.queues import queue_of
from training.core.sizes import GPUS, Machine, ModelSize, llama
from training.core.spec import SPECS, RunKind

MOST_PARALLEL: Final = 8  # GPUs that hold one copy of a model: those of one machine
SERVED: Final = 0.6  # of a GPU's memory for weights; the rest is for keys and values


@dataclass(frozen=True, slots=True)
class DryRun:
    """`commands` by machine; `servers` are those of vLLM that could draw the run's responses, if it draws any."""

    commands: list[str]
    queue: str
    servers: list[str]
    estimate: Estimate | None
    warnings: list[str]


def dry_run(
    kind: RunKind,
    params: Mapping[str, Any],
    work: Work,
    machine: Machine,
    place: Place,
    *,
    model: str,
    own: Mapping[str, str],
) -> DryRun:
    """`machine` has one device; `place` says how many there are. `model` is what the servers are told to serve.

    Weights are spread over the devices where they would not fit into each, even if `place` says nothing of it.
    """
    several = machine.times(place.devices)
    usual = estimate_kind(kind, params, work, machine)
    if usual is not None and not usual.fits(machine) and params.get("quantization") != "4bit":
        place = replace(place, sharded=place.devices > 1)
    warnings = warnings_of(kind, params, work, several, sharded=place.sharded)
    used = int(params.get("workers", 1))
    if used < place.processes and not is_shared(kind, params):
        more = f" With workers {place.processes} none does." if "workers" in params else ""
        idle = place.processes - used
        warnings.append(f"The run uses {used} of the GPUs of a machine; {idle} stay idle.{more}")
    lines = [*commands_of(kind, params, place), *joining_commands(params, place)]
    return DryRun(
        commands=[as_line(line) for line in lines],
        queue=queue_of(kind, params, usual, machine, own),
        servers=_servers(kind, work, machine, place, model),
        estimate=estimate_kind(kind, params, work, several, sharded=place.sharded),
        warnings=warnings,
    )


def _servers(kind: RunKind, work: Work, machine: Machine, place: Place, model: str) -> list[str]:
    draws = "max_new_tokens" in SPECS[kind].model_fields
    if not draws or machine.is_cpu or not work.policies:
        return []
    size = parallel_of(work.policies[0], machine)
    replicas = max(1, place.processes // size)
    lines = [as_line(line) for line in serve_commands(model, tensor_parallel=size, replicas=replicas)]
    return [
        f"CUDA_VISIBLE_DEVICES={visible_devices(number, size)} {line}" for number, line in enumerate(lines)
    ]


def parallel_of(model: ModelSize, machine: Machine) -> int:
    """GPUs that hold one copy of a model with room for its cache: a power of two, as its heads are split."""
    count = 1
    weights = model.parameters * machine.bytes_a_number
    while count < MOST_PARALLEL and weights / count > SERVED * machine.memory_bytes:
        count *= 2
    return count


# The amounts of the table: the paper's SFT examples and iterations of PPO, and round numbers near its batches.
PAIRS: Final = 100_000
SFT_EXAMPLES: Final = 27_540
PROMPTS: Final = 10_000
SAMPLES: Final = 16
NEW_TOKENS: Final = 256
PLACES: Final = (Place(1), Place(8), Place(8, machines=2))
SIZES: Final = (7, 13, 70)
ROWS: Final[tuple[tuple[str, RunKind, Mapping[str, Any]], ...]] = (
    ("reward model, 4-bit lora", RunKind.TRAIN_REWARD_MODEL, {"recipe": "lora", "quantization": "4bit"}),
    ("reward model, lora", RunKind.TRAIN_REWARD_MODEL, {"recipe": "lora"}),
    ("reward model, full", RunKind.TRAIN_REWARD_MODEL, {"recipe": "full"}),
    ("fine-tuning, lora", RunKind.FINETUNE, {"recipe": "lora"}),
    ("fine-tuning, full", RunKind.FINETUNE, {"recipe": "full"}),
    (
        "PPO, lora",
        RunKind.PPO,
        {"max_new_tokens": NEW_TOKENS, "tokens_per_batch": 4096, "sampled_tokens_per_batch": 4096},
    ),
)


def table(gpu: str) -> str:
    """Markdown: memory of each GPU and hours, for LLAMA-2's sizes on one, eight and sixteen of a kind of GPU."""
    machine = GPUS[gpu]
    heads = [f"{place.devices} {gpu}" for place in PLACES]
    lines = ["| model | work | " + " | ".join(heads) + " |", "|---" * (2 + len(heads)) + "|"]
    for billions in SIZES:
        model = llama(billions)
        for what, kind, given in ROWS:
            cells = [_cell(kind, given, model, machine, place) for place in PLACES]
            lines.append(f"| {model.name} | {what} | " + " | ".join(cells) + " |")
        cells = [_served_cell(model, machine, place) for place in PLACES]
        lines.append(f"| {model.name} | drawing, vLLM | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def amounts() -> str:
    """What the table's rows compute, in a sentence."""
    return (
        f"Reward models: {PAIRS:,} pairs, one epoch. Fine-tuning: {SFT_EXAMPLES:,} examples, two epochs. PPO: 200 "
        f"iterations of 512 answers of at most {NEW_TOKENS} tokens, two reward models of its size beside the policy. "
        f"Drawing: {SAMPLES} answers of at most {NEW_TOKENS} tokens to each of {PROMPTS:,} prompts."
    )


def _cell(kind: RunKind, given: Mapping[str, Any], model: ModelSize, machine: Machine, place: Place) -> str:
    needed = {"focus": "helpfulness"} if kind == RunKind.TRAIN_REWARD_MODEL else {}
    params = SPECS[kind].model_validate({**needed, **given}).model_dump(mode="json")
    if place.devices > 1 and not is_shared(kind, params):
        return "one process"
    pairs = kind == RunKind.TRAIN_REWARD_MODEL
    work = Work((model,), (model, model), prompts=512, examples=PAIRS if pairs else SFT_EXAMPLES)
    work = work if pairs else replace(work, example_tokens=work.prompt_tokens + RESPONSE_TOKENS)
    several = machine.times(place.devices)
    alone = estimate_kind(kind, params, work, several)
    sharded = alone is not None and not alone.fits(machine)
    return _shown(estimate_kind(kind, params, work, several, sharded=sharded), machine)


def _served_cell(model: ModelSize, machine: Machine, place: Place) -> str:
    size = parallel_of(model, machine)
    replicas = place.devices // size
    if not replicas:
        return f"wants {size}"
    room = SERVED * machine.memory_bytes * size - model.parameters * machine.bytes_a_number
    room += (1 - SERVED) * machine.memory_bytes * size / 2
    drawn = generation(
        model,
        machine.times(size),
        prompts=PROMPTS // replicas,
        samples=SAMPLES,
        prompt_tokens=Work((model,)).prompt_tokens,
        new_tokens=NEW_TOKENS,
        batch_tokens=int(room / model.cache_bytes(machine.bytes_a_number)),
    )
    return f"{_shown(drawn, machine)}; {replicas} on {size}"


def _shown(found: Estimate | None, machine: Machine) -> str:
    assert found is not None  # noqa: S101  all amounts are given
    if not found.fits(machine):
        return f"{found.gib:.0f} GiB: too much"
    hours = found.seconds / 3600
    return f"{found.gib:.0f} GiB, {hours:.2f} h" if hours < 1 else f"{found.gib:.0f} GiB, {hours:.1f} h"
