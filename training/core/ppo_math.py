"""The formulas of PPO, one function each (section 3.2.3 of the method; Schulman et al. 2016 and 2017).

Knows tensors. Must not know models, text, files or settings. `n` is the number of answers, `L` the length of the
longest one in tokens; an answer fills its row from the left, and `mask` [n, L] is true on its tokens. What stands
beside the mask counts for nothing, whatever it is.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from training.core.selection import UNSAFE_BELOW

# Nothing is nearer to 0 or 1: LOGIT stays within ±27.6, where a 64-bit sigmoid still tells rewards apart.
NEAREST: Final = 1e-12
NO_SPREAD: Final = 1e-8  # a standard deviation below is rounding


def combined_reward(helpfulness: Tensor, safety: Tensor, adversarial: Tensor) -> Tensor:
    """Rc = Rs where the prompt is tagged safety or Rs < 0.15, else Rh (section 3.2.3).

    Args:
        helpfulness, safety: what the two reward models said, before the sigmoid, shape [n].
        adversarial: whether the prompt is tagged safety, shape [n].

    Returns:
        Shape [n], after the sigmoid, in 64 bits.
    """
    r_h, r_s = helpfulness.double().sigmoid(), safety.double().sigmoid()
    return torch.where(adversarial | (r_s < UNSAFE_BELOW), r_s, r_h)


def logit(probability: Tensor) -> Tensor:
    """LOGIT(p) = ln(p / (1 - p)), which undoes the sigmoid (section 3.2.3); finite for 0 and 1 too."""
    inside = probability.clamp(NEAREST, 1 - NEAREST)
    return inside.log() - (-inside).log1p()


def whiten(values: Tensor, mask: Tensor | None = None, *, shift: bool = True) -> Tensor:
    """WHITEN (section 3.2.3): (x - mean) / standard deviation, over the whole batch.

    The deviation is that of the batch itself (divided by n, not n - 1), so that the result's is exactly 1. Without
    `shift` the mean is added again: the sign of a reward stays, and its scale alone is normed. One item alone, or items
    that are all equal, have no spread to be normed by: nothing is divided, and with `shift` the result is 0, which
    teaches nothing.

    Returns:
        The shape of `values`; 0 beside the mask.
    """
    inside = torch.ones_like(values, dtype=torch.bool) if mask is None else mask
    mean = masked_mean(values, inside)
    spread = masked_mean((values - mean).square(), inside).sqrt()
    whitened = (values - mean) / torch.where(spread > NO_SPREAD, spread, 1.0)
    return (whitened if shift else whitened + mean).masked_fill(~inside, 0.0)


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean over the mask, a scalar; 0 where it is empty."""
    return values.masked_fill(~mask, 0.0).sum() / mask.sum().clamp(min=1)


def k1(log_probs: Tensor, reference: Tensor) -> Tensor:
    """ln π(a) - ln π0(a) of tokens drawn from π, shape [n, L].

    Its mean is KL(π‖π0), a single one may have either sign (Schulman 2020, "Approximating KL divergence").
    """
    return log_probs - reference


def k3(log_probs: Tensor, reference: Tensor) -> Tensor:
    """x - 1 - ln x with x = π0(a) / π(a), shape [n, L]: the same mean as `k1`, never negative, and less noisy."""
    log_x = reference - log_probs
    return log_x.expm1() - log_x


def token_rewards(scores: Tensor, log_ratios: Tensor, mask: Tensor, beta: float) -> Tensor:
    """R = R̃c - β·KL(π‖π0) (Eq. 4), spread over the tokens of an answer; shape [n, L].

    Each token pays -β times its own `k1`, and the last one gets the answer's score. The sum over a row is the paper's
    R, with the answer's log-ratio in the place of KL. Paid where it arises, the penalty blames the token that strayed,
    and not the whole answer. `k1` and not `k3`, since the policy gradient of a reward `k1` is the gradient of KL, and
    that of a reward `k3` is not.

    Args:
        scores: R̃c of each answer, shape [n].
        log_ratios: `k1` of each token, shape [n, L].
    """
    rewards = (-beta * log_ratios).masked_fill(~mask, 0.0)
    rewards[torch.arange(len(scores)), mask.sum(dim=1) - 1] += scores.to(rewards.dtype)
    return rewards


def gae(rewards: Tensor, values: Tensor, mask: Tensor, *, discount: float, decay: float) -> Tensor:
    """Generalised advantages (Schulman et al. 2016, Eq. 16): A_t = δ_t + g·λ·A_{t+1}, δ_t = r_t + g·V_{t+1} - V_t.

    Nothing comes after an answer's last token, whether the policy ended its turn there or was cut: V is 0 there.

    Args:
        rewards: r_t, shape [n, L].
        values: V_t, what is expected before token t is drawn, shape [n, L].
        discount: g, the paper's gamma.
        decay: λ; 1: what came minus what was expected; 0: one step ahead.

    Returns:
        A_t, shape [n, L]; 0 beside the mask.
    """
    rewards, values = rewards.masked_fill(~mask, 0.0), values.masked_fill(~mask, 0.0)
    advantages = torch.zeros_like(rewards)
    ahead = value_ahead = torch.zeros_like(rewards[:, 0])
    for t in reversed(range(rewards.shape[1])):
        surprise = rewards[:, t] + discount * value_ahead - values[:, t]
        ahead = surprise + discount * decay * ahead
        advantages[:, t], value_ahead = ahead, values[:, t]
    return advantages


def policy_losses(log_probs: Tensor, old: Tensor, advantages: Tensor, clip: float) -> Tensor:
    """-min(x·A, clip(x, 1-ε, 1+ε)·A) of each token, x = π(a) / π_old(a) (Schulman et al. 2017, Eq. 7); shape [n, L].

    There is no gradient once a token has moved by more than ε in the direction that its advantage asks for.
    """
    ratio = (log_probs - old).exp()
    return -torch.minimum(ratio * advantages, ratio.clamp(1 - clip, 1 + clip) * advantages)


def beyond_clip(log_probs: Tensor, old: Tensor, clip: float) -> Tensor:
    """Which tokens' π(a) / π_old(a) is farther from 1 than ε, shape [n, L]."""
    return ((log_probs - old).exp() - 1).abs() > clip


def value_losses(values: Tensor, old: Tensor, returns: Tensor, clip: float) -> Tensor:
    """½·max((V - R)², (V_old + clip(V - V_old, ±ε) - R)²) of each token, shape [n, L].

    As in Schulman's own implementation of PPO: one batch moves a value by about ε at most.
    """
    near = old + (values - old).clamp(-clip, clip)
    return 0.5 * torch.maximum((values - returns).square(), (near - returns).square())


def entropies(logits: Tensor) -> Tensor:
    """-Σ p ln p in nats of each distribution, shape [...] from logits [..., vocabulary]."""
    log_p = logits.log_softmax(dim=-1)
    return -(log_p.exp() * log_p).sum(dim=-1)


def explained_variance(values: Tensor, returns: Tensor, mask: Tensor) -> Tensor:
    """1 - Var(R - V) / Var(R) over the mask, a scalar: 1 for a perfect critic, 0 for one that says the mean.

    0 where the returns do not vary: there is nothing to explain.
    """
    returns_spread = _variance(returns, mask)
    explained = 1 - _variance(returns - values, mask) / returns_spread.clamp(min=NO_SPREAD**2)
    return torch.where(returns_spread > NO_SPREAD**2, explained, 0.0)


def _variance(values: Tensor, mask: Tensor) -> Tensor:
    return masked_mean((values - masked_mean(values, mask)).square(), mask)
