"""Krippendorff's alpha with his ordinal metric, whose distances depend on how often each category was used.

Knows counts of categories alone. Source: Krippendorff, Computing Krippendorff's Alpha-Reliability (2011), part E.
With n_g values in category g his distance of c and k, Σ n_g from c to k less (n_c + n_k) / 2, is the distance of
their midranks m_c = n_1 + … + n_(c-1) + n_c / 2, so that both disagreements are variances of midranks.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import nan

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class OrdinalAlpha:
    """Agreement seen and expected, as shares of the largest squared distance, and the standard error.

    (observed - expected) / (1 - expected) is alpha. The error is NaN where alpha has no value without some item.
    """

    observed: float
    expected: float
    error: float


def ordinal_alpha(counts: Floats) -> OrdinalAlpha:
    """From the counts of categories, shape (n, q), of n items with two ratings or more each.

    The standard error is the jackknife's, for no published linearisation lets the distances vary with the items:
    alpha is computed n times, each time without one item, distances and all, in O(n q²) together.
    """
    totals = counts.sum(axis=0)
    coincidences = _coincidences(counts)
    seen, chance = _disagreements(totals[None], coincidences)
    midranks = _midranks(totals[None])[0][totals > 0]
    largest = float(np.ptp(midranks)) ** 2 if len(midranks) > 1 else 1.0
    return OrdinalAlpha(
        observed=1 - float(seen[0]) / largest,
        expected=1 - float(chance[0]) / largest,
        error=_jackknife(counts, coincidences),
    )


def _coincidences(counts: Floats) -> Floats:
    """o_ck, shape (q, q): the pairs of values within items, each item's divided by its ratings less one."""
    scaled = counts / (counts.sum(axis=1, keepdims=True) - 1)
    coincidences: Floats = counts.T @ scaled - np.diag(scaled.sum(axis=0))
    return coincidences


def _midranks(totals: Floats) -> Floats:
    """Shape (…, q), counted from the mean midrank so that large counts lose no digits."""
    ranks = np.cumsum(totals, axis=-1) - totals / 2
    ranks -= (totals * ranks).sum(axis=-1, keepdims=True) / totals.sum(axis=-1, keepdims=True)
    return ranks


def _disagreements(
    totals: Floats, coincidences: Floats, left_out: Floats | None = None
) -> tuple[Floats, Floats]:
    """Mean squared distance seen and expected, shape (…,), as Gwet divides alpha: (N - 1) / N² and 1 / N².

    `totals` has shape (…, q). `left_out`, of the same shape, holds counts that are in `coincidences` still.
    """
    ranks, size = _midranks(totals), totals.sum(axis=-1)
    squares = (totals * ranks**2).sum(axis=-1)
    together = ((ranks @ coincidences) * ranks).sum(axis=-1)
    if left_out is not None:
        own = (left_out * ranks).sum(axis=-1) ** 2 - (left_out * ranks**2).sum(axis=-1)
        together = together - own / (left_out.sum(axis=-1) - 1)
    return 2 * (squares - together) * (size - 1) / size**2, 2 * squares / size


def _jackknife(counts: Floats, coincidences: Floats) -> float:
    n, rest = len(counts), counts.sum(axis=0) - counts
    if n < 2 or (rest > 0).sum(axis=1).min() < 2:
        return nan
    seen, chance = _disagreements(rest, coincidences, counts)
    alphas = 1 - seen / chance
    return float(np.sqrt((n - 1) / n * ((alphas - alphas.mean()) ** 2).sum()))
