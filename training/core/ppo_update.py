"""How the policy and its critic move: mini-batches of clipped losses, by AdamW (section 3.2.3).

Knows experience and optimisers. Must not know where rewards come from, text or files.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from rewardmodel.core.layout import plan_batches
from rewardmodel.core.report import RunFailedError
from rewardmodel.core.tuning import BETAS, CLIP, EPSILON
from training.core import ppo_math
from training.core.ppo_experience import Experience
from training.core.specs.ppo import PpoSpec
from training.core.value_head import ActorCritic, Reading


@dataclass(frozen=True, slots=True)
class Losses:
    """Means over the tokens of a mini-batch; `clipped` is the share of tokens beyond the clip."""

    policy: float
    value: float
    clipped: float


def make_optimizer(actor: ActorCritic, spec: PpoSpec) -> torch.optim.AdamW:
    """The paper's AdamW at a constant rate; the value head has a rate of its own."""
    head = list(actor.value.parameters())
    policy = [parameter for parameter in actor.policy.parameters() if parameter.requires_grad]
    return torch.optim.AdamW(
        [{"params": policy, "lr": spec.learning_rate}, {"params": head, "lr": spec.value_learning_rate}],
        betas=BETAS,
        eps=EPSILON,
        weight_decay=spec.weight_decay,
    )


def update(
    actor: ActorCritic,
    optimizer: torch.optim.AdamW,
    experience: Experience,
    spec: PpoSpec,
    *,
    seed: Sequence[int],
    budget: int,
    check: Callable[[], None],
) -> list[Losses]:
    """Learn from an iteration's answers, in place; the losses of each step, read before it was taken.

    `seed` decides the order of the answers; `budget` bounds the distinct tokens of a pass, and changes the gradient by
    rounding alone.

    Raises:
        RunFailedError: if a loss or gradient is no number; the step is not taken.
    """
    losses = []
    for numbers in mini_batches(len(experience.rows), spec, seed):
        losses.append(accumulate(actor, experience, numbers, spec, budget=budget, check=check))
        _step(actor, optimizer, losses[-1], spec)
    return losses


def mini_batches(answers: int, spec: PpoSpec, seed: Sequence[int]) -> Iterator[list[int]]:
    """Numbers of the answers of each step of each epoch; an epoch's last step takes what is left over."""
    for epoch in range(spec.epochs):
        order = np.random.default_rng([*seed, epoch]).permutation(answers).tolist()
        for start in range(0, answers, spec.mini_batch):
            yield order[start : start + spec.mini_batch]


def accumulate(
    actor: ActorCritic,
    experience: Experience,
    numbers: Sequence[int],
    spec: PpoSpec,
    *,
    budget: int,
    check: Callable[[], None],
) -> Losses:
    """Add the gradient of one mini-batch to the parameters'.

    The loss is a mean over all tokens of the mini-batch: the clipped policy loss, plus `value_weight` times the clipped
    value loss. There is no bonus for entropy; the penalty to the start keeps the policy from narrowing.
    """
    rows = [experience.rows[number] for number in numbers]
    tokens = int(experience.mask[list(numbers)].sum())
    policy = value = clipped = 0.0
    for batch in plan_batches([[row.tokens] for row in rows], tokens_per_batch=budget):
        read = actor.read(batch, rows)
        known = _part(experience, [numbers[place] for place in batch.rows], read.mask.shape[1])
        p, v, beyond = _sums(read, known, spec.clip)
        ((p + spec.value_weight * v) / tokens).backward()  # type: ignore[no-untyped-call]
        policy, value, clipped = policy + p.item(), value + v.item(), clipped + beyond.item()
        check()
    return Losses(policy / tokens, value / tokens, clipped / tokens)


def _part(experience: Experience, numbers: Sequence[int], width: int) -> Experience:
    """Some answers, in columns enough for the longest of them."""

    def cut(tensor: Tensor) -> Tensor:
        return tensor[list(numbers), :width]

    return Experience(
        rows=tuple(experience.rows[number] for number in numbers),
        log_probs=cut(experience.log_probs),
        values=cut(experience.values),
        advantages=cut(experience.advantages),
        returns=cut(experience.returns),
        mask=cut(experience.mask),
    )


def _sums(read: Reading, known: Experience, clip: float) -> tuple[Tensor, Tensor, Tensor]:
    """Sums over tokens of policy loss, value loss, and tokens beyond the clip: three scalars."""
    mask = read.mask
    policy = ppo_math.policy_losses(read.log_probs, known.log_probs, known.advantages, clip)
    value = ppo_math.value_losses(read.values, known.values, known.returns, clip)
    beyond = ppo_math.beyond_clip(read.log_probs, known.log_probs, clip)
    return (
        policy.masked_fill(~mask, 0.0).sum(),
        value.masked_fill(~mask, 0.0).sum(),
        (beyond & mask).sum(),
    )


def _step(actor: nn.Module, optimizer: torch.optim.AdamW, losses: Losses, spec: PpoSpec) -> None:
    learning = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    norm = float(torch.nn.utils.clip_grad_norm_(learning, CLIP))
    if not all(math.isfinite(number) for number in (losses.policy, losses.value, norm)):
        raise RunFailedError(
            f"The policy loss was {losses.policy:g}, the value loss {losses.value:g} and the gradient's length "
            f"{norm:g}: the policy has run away. Start again with a lower learning_rate than {spec.learning_rate:g}, "
            f"or a higher kl_weight than {spec.kl_weight:g}."
        )
    optimizer.step()
    optimizer.zero_grad()
