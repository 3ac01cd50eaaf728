"""Folds that keep a prompt on one side, and intervals that know pairs of one prompt to be alike.

Knows group names and credits (1 right, 0 wrong, 1/2 a tie). Must not know models, text or files.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

DRAWS: Final = 4000
# Student's t at 97.5 %, by degrees of freedom; above the last the normal's 1.96 is near enough.
STUDENT: Final = {4: 2.776, 9: 2.262, 19: 2.093, 24: 2.064, 29: 2.045, 39: 2.023, 49: 2.010}


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean with the ends of its 95 % interval."""

    mean: float
    low: float
    high: float

    def to_json(self) -> dict[str, float]:
        return {"mean": round(self.mean, 5), "low": round(self.low, 5), "high": round(self.high, 5)}


def folds_of(groups: Sequence[str], count: int, seed: int) -> IntArray:
    """The fold of each pair, shape [pairs]: all pairs of a group have the same one, and folds are of like size.

    Groups are shuffled by `seed`, then go, the large ones first, to the fold that holds the fewest pairs.

    Raises:
        ValueError: if there are fewer groups than folds.
    """
    names, member, sizes = np.unique(
        np.asarray(groups, dtype=object), return_inverse=True, return_counts=True
    )
    if len(names) < count:
        raise ValueError(f"{len(names)} groups cannot fill {count} folds")
    order = np.random.default_rng(seed).permutation(len(names))
    order = order[np.argsort(-sizes[order], kind="stable")]
    filled = np.zeros(count, dtype=np.int64)
    fold_of = np.zeros(len(names), dtype=np.int64)
    for group in order:
        fold_of[group] = int(filled.argmin())
        filled[fold_of[group]] += sizes[group]
    chosen: IntArray = fold_of[member]
    return chosen


def credits_of(differences: FloatArray) -> FloatArray:
    """1 where the chosen response scores higher, 0 where it scores lower, 1/2 for a tie."""
    return (np.sign(differences) + 1) / 2


def by_group(values: FloatArray, groups: Sequence[str], seed: int = 0) -> Estimate:
    """The mean over pairs with the percentile interval of a bootstrap that draws whole groups."""
    _, member = np.unique(np.asarray(groups, dtype=object), return_inverse=True)
    sums, sizes = np.bincount(member, weights=values), np.bincount(member)
    generator = np.random.default_rng(seed)
    drawn = generator.multinomial(len(sums), np.full(len(sums), 1 / len(sums)), size=DRAWS)
    means = (drawn @ sums) / (drawn @ sizes)
    low, high = np.quantile(means, (0.025, 0.975))
    return Estimate(float(values.mean()), float(low), float(high))


def by_seed(values: Sequence[float]) -> Estimate:
    """The mean over independent seeds with Student's interval.

    Raises:
        ValueError: if there are fewer than two.
    """
    if len(values) < 2:
        raise ValueError("an interval needs two seeds or more")
    array = np.asarray(values, dtype=np.float64)
    half = student(len(array) - 1) * float(array.std(ddof=1)) / math.sqrt(len(array))
    mean = float(array.mean())
    return Estimate(mean, mean - half, mean + half)


def student(freedom: int) -> float:
    """The 97.5 % point of Student's t, never too small: that of the next lower tabulated freedom, 12.706 below."""
    below = [known for known in STUDENT if known <= freedom]
    return STUDENT[max(below)] if below else 12.706


def spread(values: FloatArray, folds: IntArray) -> dict[str, Any]:
    """The mean within each fold, and the standard deviation over the folds."""
    means = [float(values[folds == fold].mean()) for fold in np.unique(folds)]
    return {"folds": [round(mean, 5) for mean in means], "sd": round(float(np.std(means, ddof=1)), 5)}
