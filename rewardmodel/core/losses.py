"""The losses of a reward model as pure tensor functions (Touvron et al. 2023, arXiv 2307.09288).

Knows formulas and shapes. Must not know models, batches or where a margin comes from.

Shapes are checked and never broadcast: a margin [B] beside rewards [B, 1] would quietly become a [B, B] loss.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def margin_losses(chosen: Tensor, rejected: Tensor, margin: Tensor) -> Tensor:
    """Eq. 2, a pair at a time: `-log sigmoid(r_c - r_r - m)`; with m = 0 it is Eq. 1 (section 3.2.2).

    Args:
        chosen: rewards r(x, y_c), shape [B].
        rejected: rewards r(x, y_r), shape [B].
        margin: m(r) in units of reward, shape [B]; zeros where a pair has none.

    Returns:
        Losses, shape [B].

    Raises:
        ValueError: if a shape is not [B].
    """
    _require_vectors(chosen=chosen, rejected=rejected, margin=margin)
    return -functional.logsigmoid(chosen - rejected - margin)


def safety_losses(rewards: Tensor, signs: Tensor) -> Tensor:
    """The safety auxiliary loss, a labelled response at a time: `-log sigmoid(s * r)` (Table 29).

    The paper gives the effect and not the formula; this is binary cross-entropy on the reward, so that
    `sigmoid(r)` reads as the probability of "safe", which the thresholds 0.15 and 0.5 of the paper need.

    Args:
        rewards: shape [N].
        signs: +1 for a safe response, -1 for an unsafe one, shape [N].

    Returns:
        Losses, shape [N].

    Raises:
        ValueError: if a shape is not [N], or a sign is neither +1 nor -1.
    """
    _require_vectors(rewards=rewards, signs=signs)
    if not bool((signs.abs() == 1).all()):
        raise ValueError("signs must be +1 (safe) or -1 (unsafe)")
    return -functional.logsigmoid(signs * rewards)


def centring_losses(chosen: Tensor, rejected: Tensor) -> Tensor:
    """A pull towards rewards around 0, a pair at a time: `(r_c + r_r)^2` (Eisenstein et al. 2023, arXiv 2312.09244).

    A preference leaves the level of the rewards free; this fixes it where no safety label does. TRL knows its
    weight as `center_rewards_coefficient`; 0.01 is usual.

    Args:
        chosen: rewards r(x, y_c), shape [B].
        rejected: rewards r(x, y_r), shape [B].

    Returns:
        Losses, shape [B].

    Raises:
        ValueError: if a shape is not [B].
    """
    _require_vectors(chosen=chosen, rejected=rejected)
    return (chosen + rejected).square()


def weighted_mean(losses: Tensor, weights: Tensor | None = None) -> Tensor:
    """`sum(w * l) / sum(w)`, a scalar; 0 for no losses, so that an absent term adds nothing.

    Raises:
        ValueError: if the shapes differ, or the weights sum to 0 or are negative.
    """
    if weights is None:
        weights = torch.ones_like(losses)
    _require_vectors(losses=losses, weights=weights)
    if len(losses) == 0:
        return losses.sum()
    total = weights.sum()
    if bool((weights < 0).any()) or not bool(total > 0):
        raise ValueError("weights must not be negative, nor all 0")
    return (losses * weights).sum() / total


def _require_vectors(**tensors: Tensor) -> None:
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if any(len(shape) != 1 for shape in shapes.values()) or len(set(shapes.values())) > 1:
        listed = ", ".join(f"{name} {list(shape)}" for name, shape in shapes.items())
        raise ValueError(f"expected vectors of one length, got {listed}")
