"""What PPO learns from: answers scored by the reward models and read for advantages.

Knows the two reward models, and how the formulas of ppo_math.py follow each other. Must not know how an answer was
drawn, gradients, checkpoints or when to stop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from annotation.core.grades import Focus
from annotation.core.records import Message
from rewardmodel.core.layout import plan_batches
from rewardmodel.core.report import RunFailedError
from rewardmodel.core.rows import Row
from training.core import ppo_math
from training.core.ppo_rollout import Answer
from training.core.specs.ppo import PpoSpec
from training.core.value_head import ActorCritic

Group = tuple[Sequence[Message], Sequence[str]]


class RewardModel(Protocol):
    """What `rewardmodel.core.scorer.load` returns, as far as PPO needs it."""

    def score(self, groups: Sequence[Group]) -> list[list[float]]:
        """Raw rewards, before the sigmoid, one a response."""


@dataclass(frozen=True, slots=True)
class Judges:
    """The two reward models, both in memory."""

    helpfulness: RewardModel
    safety: RewardModel


@dataclass(frozen=True, slots=True)
class Scores:
    """Rewards of answers, shape [n] in 64 bits. `combined` is LOGIT(Rc), without any penalty."""

    helpfulness: Tensor
    safety: Tensor
    combined: Tensor


@dataclass(frozen=True, slots=True)
class Experience:
    """A batch of answers with all that an update needs; tensors [n, L], 0 beside the mask.

    Attributes:
        rows: prompt and answer as tokens.
        log_probs: ln π of each token by the policy that drew it.
        values: what that policy's critic expected before it.
        advantages: whitened.
        returns: advantages before whitening, plus values: what the critic should have said.
    """

    rows: tuple[Row, ...]
    log_probs: Tensor
    values: Tensor
    advantages: Tensor
    returns: Tensor
    mask: Tensor


def score(judges: Judges, answers: Sequence[Answer]) -> Scores:
    """What both reward models say of the answers, and the piecewise reward of the two.

    Raises:
        RunFailedError: if a reward is no number.
    """
    groups: list[Group] = [(answer.prompt.messages, [answer.text]) for answer in answers]
    helpfulness, safety = (
        torch.tensor([reward for (reward,) in judge.score(groups)], dtype=torch.float64)
        for judge in (judges.helpfulness, judges.safety)
    )
    for answer, sound in zip(answers, (helpfulness + safety).isfinite().tolist(), strict=True):
        if not sound:
            raise RunFailedError(f"a reward model gave no number for dialogue {answer.prompt.dialogue}")
    adversarial = torch.tensor([answer.prompt.focus is Focus.SAFETY for answer in answers])
    combined = ppo_math.logit(ppo_math.combined_reward(helpfulness, safety, adversarial))
    return Scores(helpfulness, safety, combined)


def observe(
    actor: ActorCritic,
    answers: Sequence[Answer],
    scores: Scores,
    spec: PpoSpec,
    *,
    budget: int,
    check: Callable[[], None],
) -> tuple[Experience, dict[str, float]]:
    """Read the answers by policy, critic and reference; what to learn from, and the figures of the iteration.

    From top to bottom: R̃c = WHITEN(LOGIT(Rc)); per token -β ln(π/π0), and R̃c at the last; advantages by GAE; whitened
    once more, over all tokens of the batch, which Adam's step sizes want and the paper leaves open.
    """
    rows = tuple(answer.row for answer in answers)
    read, reference = _read_all(actor, rows, budget, check)
    log_probs, values, entropy, mask = read
    cut = torch.tensor([not answer.complete for answer in answers])
    whitened = ppo_math.whiten(scores.combined - spec.cut_penalty * cut, shift=spec.shift_rewards)
    log_ratios = ppo_math.k1(log_probs, reference)
    rewards = ppo_math.token_rewards(whitened.to(log_ratios.device), log_ratios, mask, spec.kl_weight)
    raw = ppo_math.gae(rewards, values, mask, discount=spec.discount, decay=spec.gae_decay)
    returns = raw + values
    kl = ppo_math.k3(log_probs, reference).masked_fill(~mask, 0.0).sum(dim=1).mean()
    figures = {
        "reward": scores.combined.mean().item(),
        "helpfulness": scores.helpfulness.mean().item(),
        "safety": scores.safety.mean().item(),
        "kl": kl.item(),
        "entropy": ppo_math.masked_mean(entropy, mask).item(),
        "length": mask.sum(dim=1).double().mean().item(),
        "cut": cut.double().mean().item(),
        "explained_variance": ppo_math.explained_variance(values, returns, mask).item(),
    }
    return Experience(rows, log_probs, values, ppo_math.whiten(raw, mask), returns, mask), figures


@torch.no_grad()
def _read_all(
    actor: ActorCritic, rows: Sequence[Row], budget: int, check: Callable[[], None]
) -> tuple[tuple[Tensor, Tensor, Tensor, Tensor], Tensor]:
    """(ln π, V, entropy, mask) and ln π0 of all rows, each [rows, longest]."""
    longest = max(len(row.tokens) - row.start for row in rows)
    device = actor.value.weight.device
    log_probs, values, entropy, reference = torch.zeros(4, len(rows), longest, device=device)
    mask = torch.zeros(len(rows), longest, dtype=torch.bool, device=device)
    for batch in plan_batches([[row.tokens] for row in rows], tokens_per_batch=budget):
        found = actor.read(batch, rows)
        where, width = torch.tensor(batch.rows, device=device), found.mask.shape[1]
        log_probs[where, :width], values[where, :width] = found.log_probs, found.values
        entropy[where, :width], mask[where, :width] = found.entropy, found.mask
        reference[where, :width] = actor.reference_log_probs(batch, rows)
        check()
    return (log_probs, values, entropy, mask), reference
