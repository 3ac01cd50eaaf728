"""The probe: a linear head on frozen features, fitted to its one optimum.

Knows features, pairs of indices and a convex objective. Must not know models, text or files.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from rewardmodel.core.losses import centring_losses, margin_losses, safety_losses, weighted_mean
from rewardmodel.core.report import Reporter

MAX_ROUNDS: Final = 50
ITERATIONS_A_ROUND: Final = 20
GRADIENT_TOLERANCE: Final = 1e-7  # largest entry of the gradient, on standardised features


@dataclass(frozen=True)
class Preferences:
    """What the head is fitted to; B pairs and N labelled responses, by their rows in the feature matrix.

    Attributes:
        chosen, rejected: int64, shape [B].
        margins, weights: float64, shape [B].
        labelled: int64, shape [N].
        signs: +1 safe, -1 unsafe, float64, shape [N].
    """

    chosen: Tensor
    rejected: Tensor
    margins: Tensor
    weights: Tensor
    labelled: Tensor
    signs: Tensor


@dataclass(frozen=True)
class LinearHead:
    """`r = weight . features + bias`; float64, shapes [features] and []."""

    weight: Tensor
    bias: Tensor
    loss: float  # the objective at the optimum


def fit(
    features: Tensor,
    preferences: Preferences,
    *,
    safety_loss_weight: float,
    l2: float,
    report: Reporter,
    centring_weight: float = 0.0,
) -> LinearHead:
    """Minimise mean margin loss (Eq. 2) + safety auxiliary loss + centring + `l2 / B * (F * |weight|^2 + bias^2)`.

    B is the number of pairs and F that of features, so that `l2` means the same for any snapshot and
    backbone: it is `1 / (2 s^2)` of a Gaussian prior under which rewards spread by s. The features [rows, F]
    are standardised first, so that one penalty suits them all; the head that is returned takes them raw. The
    objective is strictly convex: the result depends on the data alone, not on a seed or a starting point.
    The penalty covers the bias too, which would otherwise run away where every label says "safe".
    """
    raw = features.to(torch.float64)
    mean, scale = raw.mean(dim=0), raw.std(dim=0, correction=0)
    scale[scale < 1e-6] = 1.0  # a feature that never varies says nothing, and must not be divided by
    scaled = (raw - mean) / scale
    count = raw.shape[1]
    parameters = torch.zeros(count + 1, dtype=torch.float64, requires_grad=True)
    penalty = torch.full((count + 1,), l2 * count / len(preferences.chosen), dtype=torch.float64)
    penalty[-1] /= count

    def objective() -> Tensor:
        rewards = scaled @ parameters[:-1] + parameters[-1]
        chosen, rejected = rewards[preferences.chosen], rewards[preferences.rejected]
        preference = margin_losses(chosen, rejected, preferences.margins)
        if centring_weight:
            preference = preference + centring_weight * centring_losses(chosen, rejected)
        safety = safety_losses(rewards[preferences.labelled], preferences.signs)
        return (
            weighted_mean(preference, preferences.weights)
            + safety_loss_weight * weighted_mean(safety)
            + (penalty * parameters.square()).sum()
        )

    loss = _minimise(objective, parameters, report)
    solution = parameters.detach()
    weight = solution[:-1] / scale
    return LinearHead(weight=weight, bias=solution[-1] - weight @ mean, loss=loss)


def _minimise(objective: Callable[[], Tensor], parameters: Tensor, report: Reporter) -> float:
    optimizer = torch.optim.LBFGS(
        [parameters],
        max_iter=ITERATIONS_A_ROUND,
        history_size=20,
        tolerance_grad=GRADIENT_TOLERANCE,
        tolerance_change=0.0,
        line_search_fn="strong_wolfe",
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = objective()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    loss = float("nan")
    for number in range(1, MAX_ROUNDS + 1):
        report.check()
        optimizer.step(closure)  # type: ignore[no-untyped-call]
        loss = float(closure().detach())
        report.metric("loss", loss, number)
        report.progress(number, MAX_ROUNDS, "rounds")
        gradient = parameters.grad
        if gradient is not None and float(gradient.abs().max()) <= GRADIENT_TOLERANCE:
            break
    return loss
