"""What training, scoring and sampling cost on paper: seconds, and bytes of the device that holds most.

Knows sizes, machines and published formulas. Must not know kinds of run, files or rows, nor import torch: the web
process reads it.

Everything is a first-order count: FLOP over a sustained rate, bytes over a sustained bandwidth. Not counted are
loading, compiling, communication between devices, and what an allocator keeps in reserve; `ROOM` leaves a tenth for
the last.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from training.core.sizes import GIB, Machine, ModelSize

Learning = Literal["full", "lora", "qlora"]
# Of a batch's words: none, as for rewards; a part at a time (training.core.head_loss); all at once.
Logits = Literal["none", "parts", "whole"]

ROOM: Final = 0.9  # of a device's memory may be asked for
FLOAT32: Final = 4
ADAM: Final = 8  # two moments in float32
# 4-bit NormalFloat with double quantisation: 4 + 0.127 bits a parameter (Dettmers et al. 2023, section 3).
NF4: Final = (4 + 0.127) / 8
# Bytes that a layer keeps for its gradient, a token and unit of width: 34 with numbers of 16 bits, without the
# attention matrix, which a fused attention does not keep (Korthikanti et al. 2022, arXiv 2205.05198, section 4.1).
KEPT_16_BITS: Final = 34
LOGIT_BYTES: Final = 10  # a token and word: bfloat16 as computed, float32 for the loss, and its gradient
LOGITS_AT_ONCE: Final = 2**27 * FLOAT32  # bytes, where they are made in parts


@dataclass(frozen=True, slots=True)
class Estimate:
    """What some work needs.

    Attributes:
        seconds: from its start to its end, with nothing else on the machine.
        memory_bytes: of one device, the fullest.
        tokens: that are learnt from, scored or drawn.
        why: the figures behind it, in a few words.
    """

    seconds: float
    memory_bytes: int
    tokens: int
    why: str

    @property
    def gib(self) -> float:
        return self.memory_bytes / GIB

    def fits(self, machine: Machine) -> bool:
        return self.memory_bytes <= ROOM * machine.memory_bytes


@dataclass(frozen=True, slots=True)
class Held:
    """Bytes of one device while a model learns."""

    weights: float
    gradients: float
    moments: float
    activations: float

    @property
    def total(self) -> float:
        return self.weights + self.gradients + self.moments + self.activations

    def __str__(self) -> str:
        parts = {"weights": self.weights, "gradients": self.gradients, "moments": self.moments}
        parts["activations"] = self.activations
        return " + ".join(f"{name} {value / GIB:.1f}" for name, value in parts.items()) + " GiB"


def training_memory(
    model: ModelSize,
    machine: Machine,
    learning: Learning,
    *,
    batch_tokens: int,
    rank: int = 8,
    checkpointing: bool = False,
    logits: Logits = "whole",
    sharded: bool = False,
) -> Held:
    """Bytes of one device of `machine`, over all of which weights and states are spread if `sharded` (FSDP).

    full: 16 bytes a parameter, as ZeRO counts them (Rajbhandari et al. 2020, arXiv 1910.02054, section 3.1): there
    2 + 2 + 12 of mixed precision, here 4 for the weight, 4 for its gradient and 8 for AdamW's moments, in float32.
    Spread over devices, each also holds two whole layers while it computes one and fetches the next. lora: the frozen
    weights in float32, as the cores load them, and 16 bytes a parameter of the adapters. qlora: the frozen matrices in
    4 bits, the embeddings in float32.
    """
    activations = _activations(model, machine, batch_tokens, checkpointing)
    if logits != "none":
        whole = batch_tokens * model.vocabulary * LOGIT_BYTES
        activations += min(whole, LOGITS_AT_ONCE) if logits == "parts" else whole
    spread = machine.count if sharded and learning != "qlora" else 1  # 4-bit weights cannot be spread
    gathered = 2 * model.layer_parameters * FLOAT32 if spread > 1 else 0
    learnt = model.parameters if learning == "full" else model.adapters(rank)
    frozen = 0.0 if learning == "full" else model.parameters * FLOAT32
    if learning == "qlora":
        frozen = (model.parameters - model.embeddings) * NF4 + model.embeddings * FLOAT32
    return Held(
        weights=(frozen + learnt * FLOAT32) / spread + gathered,
        gradients=learnt * FLOAT32 / spread,
        moments=learnt * ADAM / spread,
        activations=activations,
    )


def _activations(model: ModelSize, machine: Machine, batch_tokens: int, checkpointing: bool) -> float:
    """With checkpointing every layer keeps its input alone, and one layer at a time all (the same, section 5)."""
    bytes_a_number = machine.bytes_a_number
    layer = KEPT_16_BITS * bytes_a_number / 2 * batch_tokens * model.width
    if not checkpointing:
        return layer * model.layers
    return bytes_a_number * batch_tokens * model.width * model.layers + layer


def training(
    model: ModelSize,
    machine: Machine,
    learning: Learning,
    *,
    tokens: int,
    length: int,
    batch_tokens: int,
    rank: int = 8,
    checkpointing: bool = False,
    logits: Logits = "whole",
    sharded: bool = False,
) -> Estimate:
    """Learning from `tokens` tokens, all passes together, in rows of `length`, shared out among `machine`'s devices.

    Three forward passes' FLOP a token, 6 a parameter (Kaplan et al. 2020, section 2.1): one forward, two backward.
    Frozen weights want no gradient of their own, which leaves two; checkpointing adds one.
    """
    passes = (3 if learning == "full" else 2) + checkpointing
    flops = passes * model.forward_flops(length) * tokens
    held = training_memory(
        model,
        machine,
        learning,
        batch_tokens=batch_tokens,
        rank=rank,
        checkpointing=checkpointing,
        logits=logits,
        sharded=sharded,
    )
    why = f"{learning} training of {model.name} on {tokens:,} tokens: {held}"
    # rewardmodel.core.sharding spreads a model that each device has loaded whole, if only for a moment.
    spread = sharded and machine.count > 1 and learning != "qlora"
    loading = model.parameters * FLOAT32 if spread else 0
    if loading > held.total:
        why += f"; {loading / GIB:.1f} GiB while it is loaded whole, before it is spread"
    return Estimate(flops / (machine.trained * machine.count), int(max(held.total, loading)), tokens, why)


def scoring(
    model: ModelSize,
    machine: Machine,
    *,
    tokens: int,
    length: int,
    batch_tokens: int,
    fraction: float = 1.0,
) -> Estimate:
    """Reading `tokens` tokens once; of the layers only the lowest `fraction`, as a probe does. One device computes."""
    flops = fraction * model.forward_flops(length) * tokens
    layer = KEPT_16_BITS * machine.bytes_a_number / 2 * batch_tokens * model.width
    memory = model.parameters * machine.bytes_a_number + layer
    return Estimate(flops / machine.read, int(memory), tokens, f"{model.name} reads {tokens:,} tokens")


def generation(
    model: ModelSize,
    machine: Machine,
    *,
    prompts: int,
    samples: int,
    prompt_tokens: int,
    new_tokens: int,
    batch_tokens: int,
) -> Estimate:
    """Drawing `samples` responses to each of `prompts` prompts, in batches of `batch_tokens` tokens.

    A prompt is read once, at the rate of its FLOP. Then each step fetches the weights and the batch's keys and values,
    and takes as long as the slower of that and its FLOP (Pope et al. 2022, arXiv 2211.05102, section 2). The devices of
    `machine` hold the model together (tensor parallel). Answers are counted at their longest.
    """
    whole = prompt_tokens + new_tokens
    total = prompts * samples
    batches = math.ceil(total / max(1, batch_tokens // whole))
    rows = total / max(1, batches)
    cache = model.cache_bytes(machine.bytes_a_number)
    seen = prompt_tokens + new_tokens / 2  # tokens before the one at work, on average
    weights = model.parameters * machine.bytes_a_number
    step = max(
        (weights + rows * seen * cache) / machine.fetched,
        rows * model.forward_flops(2 * seen) / machine.read,
    )
    reading = prompts * prompt_tokens * model.forward_flops(prompt_tokens) / machine.read
    held = weights + rows * (whole * cache + model.vocabulary * FLOAT32)
    why = (
        f"{model.name} draws {total:,} responses of at most {new_tokens} tokens, {rows:.0f} at once: "
        f"weights {weights / GIB:.1f} + keys and values {rows * whole * cache / GIB:.1f} GiB"
    )
    seconds = (reading + batches * new_tokens * step) / machine.count
    return Estimate(seconds, int(held / machine.count), total * new_tokens, why)


def in_turn(parts: Sequence[Estimate], tokens: int | None = None) -> Estimate:
    """One after the other, each giving its memory back. Tokens are those of the first, if nobody says otherwise."""
    return Estimate(
        sum(part.seconds for part in parts),
        max(part.memory_bytes for part in parts),
        parts[0].tokens if tokens is None else tokens,
        "; ".join(part.why for part in parts),
    )
