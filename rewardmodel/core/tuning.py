"""Training of a backbone, or of adapters on it, together with the reward head (sections 3.2.2 and A.3).

Knows pairs, losses, schedule and checkpoints. Must not know text, grades or evaluation.

What was simplified: one process and one device; dropout is off, so that a resumed run sees the same network.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor

from rewardmodel.core.checkpoint import load_checkpoint, save_checkpoint
from rewardmodel.core.layout import Batch, plan_batches
from rewardmodel.core.losses import margin_losses, safety_losses
from rewardmodel.core.network import RewardNetwork
from rewardmodel.core.report import Reporter
from rewardmodel.core.rows import Row

BETAS: Final = (0.9, 0.95)
EPSILON: Final = 1e-5
WEIGHT_DECAY: Final = 0.1
CLIP: Final = 1.0
WARM_UP_SHARE: Final = 0.03
WARM_UP_STEPS: Final = 5
CHECKPOINT_SECONDS: Final = 60.0  # at most so much work is lost by a kill
FLOOR: Final = 0.1  # the cosine ends at this share of the peak


@dataclass(frozen=True, slots=True)
class TrainingPair:
    """One comparison as the loss sees it. Signs: +1 safe, -1 unsafe, 0 without a label."""

    chosen: Row
    rejected: Row
    margin: float
    weight: float
    chosen_sign: int
    rejected_sign: int


@dataclass(frozen=True, slots=True)
class TuningPlan:
    """Hyperparameters; the paper's are the defaults of TrainRewardModelSpec."""

    epochs: int
    learning_rate: float
    pairs_per_step: int
    tokens_per_batch: int
    safety_loss_weight: float
    seed: int


def tune(
    network: RewardNetwork, pairs: Sequence[TrainingPair], plan: TuningPlan, *, work: Path, report: Reporter
) -> None:
    """Train what of `network` requires a gradient, in place, resuming from the checkpoint in `work` if any.

    The gradient of a step does not depend on how its pairs are cut into batches. The order of the pairs
    depends on seed and epoch alone, so that a resumed run ends with the same bytes on a CPU.
    """
    network.eval()  # dropout off; gradients flow all the same
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(
        parameters, lr=plan.learning_rate, betas=BETAS, eps=EPSILON, weight_decay=WEIGHT_DECAY
    )
    steps = steps_of(len(pairs), plan)
    file = work / "tuning.safetensors"
    first = load_checkpoint(file, network, optimizer)
    saved_at = time.monotonic()
    for step in range(first, len(steps)):
        optimizer.param_groups[0]["lr"] = plan.learning_rate * learning_rate_share(step, len(steps))
        loss = accumulate(network, [pairs[index] for index in steps[step]], plan)
        torch.nn.utils.clip_grad_norm_(parameters, CLIP)
        optimizer.step()
        optimizer.zero_grad()
        report.metric("loss", loss, step + 1)
        report.progress(step + 1, len(steps), "steps")
        last = step + 1 == len(steps)
        if last or time.monotonic() - saved_at >= CHECKPOINT_SECONDS:
            save_checkpoint(file, network, optimizer, step + 1)
            saved_at = time.monotonic()
        report.check()


def learning_rate_share(step: int, steps: int) -> float:
    """Share of the peak at 0-based `step` of `steps`: linear warm-up, then a cosine down to 10 %.

    Warm-up is 3 % of the steps and at least 5 (section A.3), but never more than there are.
    """
    warm_up = min(steps, max(WARM_UP_STEPS, math.ceil(WARM_UP_SHARE * steps)))
    if step < warm_up:
        return (step + 1) / warm_up
    fallen = (step + 1 - warm_up) / max(1, steps - warm_up)
    return FLOOR + (1 - FLOOR) * (1 + math.cos(math.pi * fallen)) / 2


def steps_of(pairs: int, plan: TuningPlan) -> list[list[int]]:
    """Indices of the pairs of every step of every epoch; an epoch's last step takes what is left over."""
    steps: list[list[int]] = []
    for epoch in range(plan.epochs):
        order = np.random.default_rng([plan.seed, epoch]).permutation(pairs).tolist()
        steps += [order[i : i + plan.pairs_per_step] for i in range(0, pairs, plan.pairs_per_step)]
    return steps


def accumulate(network: RewardNetwork, pairs: Sequence[TrainingPair], plan: TuningPlan) -> float:
    """Add the gradient of one step over `pairs` to the parameters'; return the step's loss.

    The loss is the weighted mean of Eq. 2 over the pairs, plus the mean safety loss over the labelled
    responses. Each batch adds its part of the sums, so that the cut into batches changes nothing.
    """
    weight = sum(pair.weight for pair in pairs)
    labels = sum(abs(pair.chosen_sign) + abs(pair.rejected_sign) for pair in pairs)
    items = [[pair.chosen.tokens, pair.rejected.tokens] for pair in pairs]
    starts = [row.start for pair in pairs for row in (pair.chosen, pair.rejected)]
    total = 0.0
    for batch in plan_batches(items, tokens_per_batch=plan.tokens_per_batch):
        device = network.head.weight.device
        with torch.autocast("cuda", torch.bfloat16, enabled=device.type == "cuda"):
            rewards = network(batch, [starts[number] for number in batch.rows])
        preference, safety = _sums(rewards.float(), batch, pairs)
        loss = preference / weight + plan.safety_loss_weight * safety / max(1, labels)
        loss.backward()  # type: ignore[no-untyped-call]
        total += float(loss.detach())
    return total


def _sums(rewards: Tensor, batch: Batch, pairs: Sequence[TrainingPair]) -> tuple[Tensor, Tensor]:
    """Sums of the weighted margin losses and of the safety losses of a batch, two scalars."""
    place = {row: index for index, row in enumerate(batch.rows)}
    chosen = rewards[[place[2 * item] for item in batch.items]]
    rejected = rewards[[place[2 * item + 1] for item in batch.items]]
    here = [pairs[item] for item in batch.items]
    margins = rewards.new_tensor([pair.margin for pair in here])
    weights = rewards.new_tensor([pair.weight for pair in here])
    signs = rewards.new_tensor([[pair.chosen_sign, pair.rejected_sign] for pair in here]).flatten()
    both = torch.stack([chosen, rejected], dim=1).flatten()
    labelled = signs != 0
    preference = (weights * margin_losses(chosen, rejected, margins)).sum()
    return preference, safety_losses(both[labelled], signs[labelled]).sum()
