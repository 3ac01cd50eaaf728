"""How far two categories agree: the weightings of Gwet's coefficients and the metrics of Krippendorff's alpha.

Knows categories alone. "Ordinal" means two things, so the two have types of their own: `Weighting.ORDINAL` is
Gwet's and looks at the places of the categories in their order; `Metric.ORDINAL` is Krippendorff's and looks at how
often each category was used.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from numbers import Real
from typing import Final

import numpy as np
from numpy.typing import NDArray

Category = str | float


class Weighting(StrEnum):
    """Gwet, Handbook of Inter-Rater Reliability, 4th ed., the chapter on weighted agreement."""

    IDENTITY = "identity"  # the same category or nothing
    ORDINAL = "ordinal"  # by the number of pairs of categories that lie between two
    LINEAR = "linear"
    QUADRATIC = "quadratic"
    RADICAL = "radical"
    RATIO = "ratio"
    CIRCULAR = "circular"  # the last category is the first one's neighbour
    BIPOLAR = "bipolar"  # steps near an end of the scale count for more


class Metric(StrEnum):
    """Krippendorff, Computing Krippendorff's Alpha-Reliability (2011)."""

    NOMINAL = "nominal"
    ORDINAL = "ordinal"
    INTERVAL = "interval"
    RATIO = "ratio"


# These metrics are fixed by the categories, and alpha with them is alpha with these weights.
METRIC_WEIGHTS: Final = {
    Metric.NOMINAL: Weighting.IDENTITY,
    Metric.INTERVAL: Weighting.QUADRATIC,
    Metric.RATIO: Weighting.RATIO,
}


class NoWeights(ValueError):  # noqa: N818  (a finding about the categories, not a fault)
    """These categories have no such weights; the message says why."""


def are_numbers(categories: Sequence[Category]) -> bool:
    """Whether differences of the categories mean anything; otherwise their places in the order are used."""
    return all(isinstance(category, Real) for category in categories)


def positions(categories: Sequence[Category]) -> NDArray[np.float64]:
    """Where the categories lie, shape (q,): the numbers themselves, or 1 … q for text in its order."""
    if are_numbers(categories):
        return np.array(categories, dtype=np.float64)
    return np.arange(1, len(categories) + 1, dtype=np.float64)


def weight_matrix(weighting: Weighting, categories: Sequence[Category]) -> NDArray[np.float64]:
    """The weights of every two categories, shape (q, q): 1 on the diagonal, 0 for those furthest apart.

    Raises `NoWeights` for ratio weights of negative numbers, which have no ratio to compare.
    """
    x = positions(categories)
    if weighting is Weighting.IDENTITY or len(x) < 2:
        return np.eye(len(x))
    apart, power = _distances(weighting, x)
    # Scaled before it is squared: the square of a very small difference would be 0.
    weights: NDArray[np.float64] = 1 - (apart / apart.max()) ** power
    return weights


def _distances(weighting: Weighting, x: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """Distances up to a factor, shape (q, q), 0 on the diagonal, and to which power they disagree."""
    steps = np.abs(x[:, None] - x[None, :])
    match weighting:
        case Weighting.ORDINAL:
            places = np.arange(len(x))
            between = np.abs(places[:, None] - places[None, :]) + 1.0
            return between * (between - 1), 1.0
        case Weighting.RATIO:
            if x.min() < 0:
                raise NoWeights("ratio weights need categories from 0 upwards, and some are negative")
            return _share(steps, x[:, None] + x[None, :]), 2.0
        case Weighting.CIRCULAR:
            return np.sin(np.pi * steps / (np.ptp(x) + 1)), 2.0
        case Weighting.BIPOLAR:
            return _to_ends((x - x.min()) / np.ptp(x)), 1.0
        case _:
            return steps, {"linear": 1.0, "quadratic": 2.0, "radical": 0.5}[weighting]


def _to_ends(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """(x_k - x_l)² / ((x_k + x_l) (2 - x_k - x_l)) for a scale from 0 to 1: both factors are room to an end."""
    steps, sums = np.abs(x[:, None] - x[None, :]), x[:, None] + x[None, :]
    return _share(steps**2, sums * (2 - sums))


def _share(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.divide(part, whole, out=np.zeros_like(part), where=part > 0)
