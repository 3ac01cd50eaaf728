"""How sure a share is: intervals of 95 % for means of pairs that come in clusters.

Knows numbers and which cluster each belongs to. Must not know what is measured.

A share p of n independent trials gets the interval of Wilson (1927), which holds for few trials and for shares near 0
and 1, where the usual one does not. Ties count 1/2 each; a share with ties varies less than one without, so that the
interval is, if anything, too wide. Pairs of one prompt are not independent: n is then divided by the design effect,
the variance of p under sampling of clusters (linearised, Cochran 1977, section 11.3) over p (1 - p) / n. This is the
interval of Franco, Little, Louis and Slud (2019), J. Surv. Stat. Methodol. 7, 334-364. Differences between two
readers of the same pairs are bootstrapped by cluster (Efron 1979), with a fixed seed.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from annotation.core.shares import wilson
from rewardmodel.core.evaluation.pairs import Floats, Ints

RESAMPLES: Final = 1000
FEWEST_CLUSTERS: Final = 10  # of fewer a resample tells little but itself
AT_ONCE: Final = 2_000_000  # drawn numbers that are in memory together


def share(values: Floats, clusters: Ints) -> tuple[float | None, float | None, float | None]:
    """Mean of values within 0 and 1, and its interval; None three times of none. Both arrays are [N]."""
    if not len(values):
        return None, None, None
    value = float(values.mean())
    low, high = wilson(value, effective_trials(values, clusters))
    # Wilson's bounds hold the share; rounding must not say otherwise.
    return value, min(low, value), max(high, value)


def effective_trials(values: Floats, clusters: Ints) -> float:
    """As many independent trials say as much as these N, which come in clusters.

    At most N, and at least what it would be if the members of each cluster were all alike, n² / sum of squared sizes.
    """
    n = len(values)
    _, place = np.unique(clusters, return_inverse=True)
    sizes = np.bincount(place)
    least = n**2 / float((sizes**2).sum())
    if len(sizes) in {1, n}:  # one cluster alone shows no variance between clusters
        return least
    value = float(values.mean())
    sums = np.bincount(place, weights=values - value)
    variance = float((sums**2).sum()) / n**2 * len(sizes) / (len(sizes) - 1)
    spread = value * (1 - value)
    if spread == 0:  # all alike: nothing tells how much the members of a cluster hang together
        return least
    return float(n) if variance * n <= spread else max(least, spread / variance)


def difference(ours: Floats, theirs: Floats, clusters: Ints, *, seed: int) -> dict[str, Any]:
    """Mean of `ours` less `theirs` over the same pairs, with a bootstrap interval by cluster (percentiles).

    All arrays are [N]. The bounds are None where there are fewer than ten clusters.
    """
    if not len(ours):
        return {"difference": None, "low": None, "high": None}
    gains = ours - theirs
    low, high = _bootstrap(gains, clusters, seed=seed)
    return {"difference": float(gains.mean()), "low": low, "high": high}


def _bootstrap(values: Floats, clusters: Ints, *, seed: int) -> tuple[float | None, float | None]:
    _, place = np.unique(clusters, return_inverse=True)
    sums, sizes = np.bincount(place, weights=values), np.bincount(place)
    count = len(sizes)
    if count < FEWEST_CLUSTERS:
        return None, None
    rng = np.random.default_rng(seed)
    means: list[Floats] = []
    rows = max(1, AT_ONCE // count)
    for start in range(0, RESAMPLES, rows):
        drawn = rng.integers(0, count, size=(min(rows, RESAMPLES - start), count))
        means.append(sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1))
    low, high = np.quantile(np.concatenate(means), (0.025, 0.975))
    return float(low), float(high)
