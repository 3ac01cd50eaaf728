"""Supervised fine-tuning of a policy on token rows (sections 3.1 and A.1 of the method).

Knows rows, the loss of response tokens, AdamW's schedule and checkpoints. Must not know text, dialogues or
how a policy is stored.

What was simplified: one process and one device; dropout is off, so that a resumed run sees the same network.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from rewardmodel.core.checkpoint import load_checkpoint, save_checkpoint
from rewardmodel.core.report import Reporter
from rewardmodel.core.tuning import BETAS, CLIP, EPSILON, learning_rate_share
from training.core.generate import pad_left, positions_of

CHECKPOINT_SECONDS: Final = 60.0  # at most so much work is lost by a kill


@dataclass(frozen=True, slots=True)
class Example:
    """A prompt and its target. Loss is taken on tokens[start:stop]; the prompt's is zero."""

    tokens: tuple[int, ...]
    start: int
    stop: int

    @property
    def targets(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True, slots=True)
class SftPlan:
    """Hyperparameters; the paper's are the defaults of FinetuneSpec. Budgets are in tokens."""

    epochs: int
    learning_rate: float
    weight_decay: float
    examples_per_step: int
    tokens_per_batch: int
    pad: int
    seed: int


def fit(
    model: PreTrainedModel, examples: Sequence[Example], plan: SftPlan, *, work: Path, report: Reporter
) -> int:
    """Train what of `model` requires a gradient, in place; return the number of steps.

    Resumes from the checkpoint in `work` if there is one. The order of the examples depends on seed and epoch
    alone, so that a resumed run ends with the same bytes on a CPU.
    """
    cast("nn.Module", model).eval()  # dropout off; gradients flow all the same
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(
        parameters, lr=plan.learning_rate, betas=BETAS, eps=EPSILON, weight_decay=plan.weight_decay
    )
    steps = plan_steps(len(examples), plan)
    file = work / "sft.safetensors"
    first = load_checkpoint(file, model, optimizer)
    saved_at = time.monotonic()
    for step in range(first, len(steps)):
        optimizer.param_groups[0]["lr"] = plan.learning_rate * learning_rate_share(step, len(steps))
        loss = accumulate(model, [examples[index] for index in steps[step]], plan, report)
        torch.nn.utils.clip_grad_norm_(parameters, CLIP)
        optimizer.step()
        optimizer.zero_grad()
        report.metric("loss", loss, step + 1)
        report.progress(step + 1, len(steps), "steps")
        if step + 1 == len(steps) or time.monotonic() - saved_at >= CHECKPOINT_SECONDS:
            save_checkpoint(file, model, optimizer, step + 1)
            saved_at = time.monotonic()
            report.check()
    return len(steps)


def accumulate(model: PreTrainedModel, examples: Sequence[Example], plan: SftPlan, report: Reporter) -> float:
    """Add the gradient of one step to the parameters'; return the step's loss.

    The loss is the mean over all target tokens of the step. Each batch adds its part of the sum, so that the
    cut into batches changes nothing but rounding.
    """
    targets = sum(example.targets for example in examples)
    total = 0.0
    for batch in batches(examples, plan.tokens_per_batch):
        loss = loss_sum(model, batch, plan.pad) / targets
        loss.backward()  # type: ignore[no-untyped-call]
        total += loss.item()
        report.check()
    return total


@torch.inference_mode()
def mean_loss(model: PreTrainedModel, examples: Sequence[Example], plan: SftPlan, report: Reporter) -> float:
    """Mean loss of a target token, in nats, without learning."""
    total = 0.0
    for batch in batches(examples, plan.tokens_per_batch):
        total += loss_sum(model, batch, plan.pad).item()
        report.check()
    return total / sum(example.targets for example in examples)


def loss_sum(model: PreTrainedModel, examples: Sequence[Example], pad: int) -> Tensor:
    """Cross-entropy summed over the examples' target tokens, a scalar in float32.

    Rows are padded on the left, so that the targets stand in the last columns: only there are the vocabulary's
    logits computed, by the model's own head.
    """
    device = model.device
    ids, mask = pad_left([example.tokens for example in examples], pad, device)
    columns = max(len(example.tokens) - example.start for example in examples)
    untyped: Any = model
    with torch.autocast("cuda", torch.bfloat16, enabled=device.type == "cuda"):
        logits = untyped(
            input_ids=ids,
            attention_mask=mask,
            position_ids=positions_of(mask),
            logits_to_keep=columns + 1,  # a token is predicted from the column before it
            use_cache=False,
        ).logits[:, :-1]
    learnt = torch.tensor([_learnt(example, columns) for example in examples], device=device)
    return torch.nn.functional.cross_entropy(
        logits[learnt].float(), ids[:, -columns:][learnt], reduction="sum"
    )


def _learnt(example: Example, columns: int) -> list[bool]:
    """Which of the row's last `columns` tokens are targets."""
    first = len(example.tokens) - columns
    return [example.start <= first + column < example.stop for column in range(columns)]


def batches(examples: Sequence[Example], tokens_per_batch: int) -> Iterator[list[Example]]:
    """All examples, shortest first, in batches of at most `tokens_per_batch` tokens with their padding."""
    batch: list[Example] = []
    for example in sorted(examples, key=lambda example: len(example.tokens)):
        if batch and (len(batch) + 1) * len(example.tokens) > tokens_per_batch:
            yield batch
            batch = []
        batch.append(example)
    if batch:
        yield batch


def plan_steps(examples: int, plan: SftPlan) -> list[list[int]]:
    """Indices of every step of every epoch; an epoch's last step takes what is left over."""
    size = plan.examples_per_step
    steps: list[list[int]] = []
    for epoch in range(plan.epochs):
        order = np.random.default_rng([plan.seed, epoch]).permutation(examples).tolist()
        steps += [order[start : start + size] for start in range(0, examples, size)]
    return steps
