"""Whether a model is as sure as it is right, and how its rewards are spread.

Knows rewards and credits as arrays. Must not know records, files or plots.

The probability that people choose the first of two responses is sigmoid(r1 - r2) (Eq. 1, after Bradley and Terry 1952).
It is read on the side that the model prefers, so that it lies between 1/2 and 1: the model is calibrated where, of the
pairs of which it says 0.8, it is right in 80 %. A model trained with margins (Eq. 2) is asked for larger differences
than that, and is therefore too sure by design.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from rewardmodel.core.evaluation.intervals import share
from rewardmodel.core.evaluation.pairs import Floats, Ints, Table, sigmoid

BINS: Final = 15
FEWEST: Final = 20  # pairs a bin; of fewer, there are fewer bins
DRAWS: Final = 200
BARS: Final = 30


def calibration(table: Table, *, seed: int) -> dict[str, Any] | None:
    """The reliability curve and the expected calibration error over N pairs; None of none.

    `bins` have equal numbers of pairs: 15 of them, fewer where that would leave fewer than 20 in each. `ece` is the
    mean distance of confidence and accuracy over bins, weighted by pairs (Naeini, Cooper and Hauskrecht 2015). It is
    above 0 by chance alone: `ece_by_chance` is what a calibrated model with these confidences would show in the
    mean (200 draws from `seed`). `too_sure` is mean confidence less accuracy.
    """
    if not len(table):
        return None
    confidence = sigmoid(np.abs(table.difference))
    order = np.argsort(confidence, kind="stable")
    places = np.array_split(order, min(BINS, max(1, len(order) // FEWEST)))
    starts = np.cumsum([0, *(len(part) for part in places[:-1])])
    sure, right = confidence[order], table.credit[order]
    return {
        "bins": [_bin(table, confidence, part) for part in places],
        "ece": _ece(sure, right, starts),
        "ece_by_chance": _by_chance(sure, starts, seed),
        "too_sure": float(confidence.mean() - table.credit.mean()),
    }


def spread(table: Table) -> dict[str, Any] | None:
    """Histograms of the rewards and of their differences (`margins`), each of 30 equal bins; None without pairs.

    `bimodality` is Sarle's coefficient: above 5/9, that of a uniform distribution, there may be two modes. Larger
    margins in the loss split the rewards in two (section A.3.3, Figure 27).
    """
    if not len(table):
        return None
    rewards = np.concatenate([table.chosen, table.rejected])
    edges = _edges(rewards)
    margins = _edges(table.difference)
    return {
        "rewards": {
            "edges": edges.tolist(),
            "chosen": np.histogram(table.chosen, edges)[0].tolist(),
            "rejected": np.histogram(table.rejected, edges)[0].tolist(),
            "mean": float(rewards.mean()),
            "deviation": float(rewards.std()),
            "bimodality": sarle(rewards),
        },
        "margins": {
            "edges": margins.tolist(),
            "pairs": np.histogram(table.difference, margins)[0].tolist(),
            "mean": float(table.difference.mean()),
            "deviation": float(table.difference.std()),
            "bimodality": sarle(table.difference),
        },
    }


def sarle(values: Floats) -> float | None:
    """Sarle's bimodality coefficient with the correction for small samples; None of fewer than four or of equal values.

    (g² + 1) / (k + 3 (n - 1)² / ((n - 2) (n - 3))), with g the sample skewness and k the sample excess kurtosis.
    Source: Pfister, Schwarz, Janczyk, Dale and Freeman (2013), Front. Psychol. 4, 700.
    """
    n = len(values)
    if n < 4:
        return None
    centred = values - values.mean()
    second = float((centred**2).mean())
    if second <= (1e-12 * float(np.abs(values).max())) ** 2:
        return None
    unit = centred / math.sqrt(second)
    g1, g2 = float((unit**3).mean()), float((unit**4).mean()) - 3
    skewness = g1 * math.sqrt(n * (n - 1)) / (n - 2)
    kurtosis = (n - 1) / ((n - 2) * (n - 3)) * ((n + 1) * g2 + 6)
    return (skewness**2 + 1) / (kurtosis + 3 * (n - 1) ** 2 / ((n - 2) * (n - 3)))


def _bin(table: Table, confidence: Floats, part: Ints) -> dict[str, Any]:
    value, low, high = share(table.credit[part], table.prompt[part])
    sure = float(confidence[part].mean())
    return {"confidence": sure, "accuracy": value, "low": low, "high": high, "pairs": len(part)}


def _ece(confidence: Floats, right: Floats, starts: Ints) -> float:
    """Both arrays in order of confidence; each bin begins at one of `starts`."""
    return float(np.abs(np.add.reduceat(confidence - right, starts)).sum()) / len(confidence)


def _by_chance(confidence: Floats, starts: Ints, seed: int) -> float:
    rng = np.random.default_rng(seed)
    draws = [
        _ece(confidence, (rng.random(len(confidence)) < confidence).astype(np.float64), starts)
        for _ in range(DRAWS)
    ]
    return float(np.mean(draws))


def _edges(values: Floats) -> Floats:
    low, high = float(values.min()), float(values.max())
    least = 1e-6 * max(1.0, abs(low), abs(high))
    if high - low < least:  # bins too narrow to be told apart
        low, high = low - least, high + least
    return np.linspace(low, high, BARS + 1)
