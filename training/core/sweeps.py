"""What K samples and a temperature are worth: the figures behind Figs. 7 and 8 and the choice of a temperature.

Knows rewards as numbers, by prompt and temperature, and their intervals over prompts. Must not know texts, models or
files, nor import torch.

The best of k. The first k of n samples would be one of many ways to take k of them, and a noisy one. Here the mean is
taken over all subsets of size k. Let s_1 <= ... <= s_n be the sorted rewards. A subset's j-th smallest is s_i if j - 1
of its members come from the i - 1 before and k - j from the n - i behind:

    E[j-th smallest of k] = sum over i of s_i * C(i - 1, j - 1) * C(n - i, k - j) / C(n, k)

With j = k that is the expected maximum, sum of s_i * C(i - 1, k - 1) / C(n, k). Samples of one temperature are
exchangeable, so each subset has the distribution of k fresh samples, and the mean over subsets is the unbiased
estimate of least variance (a U-statistic, Hoeffding 1948). Ties need no care: equal rewards may be ordered at will.
The median of k is its middle one, of an even k the mean of the two in the middle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np

from rewardmodel.core.evaluation.intervals import FEWEST_CLUSTERS, RESAMPLES
from rewardmodel.core.evaluation.pairs import Floats
from training.core.selection import mean

AT_ONCE: Final = 2_000_000  # drawn numbers that are in memory together


@dataclass(frozen=True, slots=True)
class Curve:
    """Means over prompts for k = 1 ... K, in units of raw reward; each interval is (low, high), None of few prompts."""

    best: list[float]
    median: list[float]
    best_95: list[tuple[float, float]] | None
    median_95: list[tuple[float, float]] | None

    @property
    def points(self) -> list[list[float]]:
        """[k, best, median] for each k."""
        return [
            [k, best, median]
            for k, (best, median) in enumerate(zip(self.best, self.median, strict=True), start=1)
        ]


def expected_best(scores: Sequence[float]) -> list[float]:
    """The mean maximum over all subsets of each size k = 1 ... n; see the module. Needs one score at least."""
    return _of_subsets(scores, best=True)


def expected_median(scores: Sequence[float]) -> list[float]:
    """The mean median over all subsets of each size k = 1 ... n. Needs one score at least."""
    return _of_subsets(scores, best=False)


def curve_of(groups: Sequence[Sequence[float]], *, seed: int) -> Curve:
    """The curve over prompts: `groups` holds one prompt's rewards each, none of them empty.

    A prompt with fewer than k rewards counts with all it has, so that every k averages the same prompts.
    """
    longest = max((len(group) for group in groups), default=0)
    best = _padded([expected_best(group) for group in groups], longest)
    median = _padded([expected_median(group) for group in groups], longest)
    counts = _resamples(len(groups), seed)
    return Curve(_means(best), _means(median), _bounds(best, counts), _bounds(median, counts))


def compare_temperatures(
    rewards: Mapping[float, Sequence[Sequence[float]]], *, seed: int
) -> dict[str, Any] | None:
    """Which temperature has the highest expected best of all its samples, and how sure that is; None of none.

    `rewards` holds by temperature one prompt's rewards each, the same prompts in the same order. The difference to
    every other temperature is taken prompt by prompt and bootstrapped over prompts; `certain` where no interval of 95
    % holds 0. Of equal means the lowest temperature is named. The value itself is that of a winner among noisy ones,
    so somewhat too high.
    """
    tops = {t: np.array([max(g) for g in rewards[t]]) for t in sorted(rewards) if len(rewards[t])}
    if not tops:
        return None
    means = {temperature: mean(values.tolist()) for temperature, values in tops.items()}
    best = max(means, key=lambda temperature: means[temperature])
    counts = _resamples(len(tops[best]), seed)
    others = [
        {"temperature": t, "by": mean(gains.tolist()), **_interval(gains, counts)}
        for t in tops
        if t != best
        for gains in [tops[best] - tops[t]]
    ]
    return {
        "temperature": best,
        "k": max(len(group) for group in rewards[best]),
        "best": means[best],
        **_interval(tops[best], counts),
        "prompts": len(tops[best]),
        "above": others,
        "certain": bool(others) and all(one["low"] is not None and one["low"] > 0 for one in others),
    }


def _of_subsets(scores: Sequence[float], *, best: bool) -> list[float]:
    ordered = np.sort(np.asarray(scores, dtype=np.float64))
    values: list[float] = (_weights(len(ordered), best) @ ordered).tolist()
    return values


@lru_cache(maxsize=16)
def _weights(n: int, best: bool) -> Floats:
    """[n, n]: row k - 1 is what each sorted reward counts in the maximum, or the median, of k."""
    k = np.arange(1, n + 1)
    if best:
        return _order_weights(n, k)
    return (_order_weights(n, (k + 1) // 2) + _order_weights(n, k // 2 + 1)) / 2


def _order_weights(n: int, j: np.ndarray[Any, np.dtype[np.int64]]) -> Floats:
    """[n, n]: row k - 1 is the distribution of which sorted reward is the j[k - 1]-th smallest of k.

    Logarithms keep C(1000, 500) within floats. Each row sums to 1, which takes their common rounding away; where one
    weight is left, as of the maximum of all, it is exactly 1.
    """
    logs = np.concatenate([[0.0], np.log(np.arange(1, n + 1)).cumsum()])
    k, i, wanted = np.arange(1, n + 1)[:, None], np.arange(1, n + 1)[None, :], j[:, None]
    before, behind = i - wanted, (n - i) - (k - wanted)
    possible = (before >= 0) & (behind >= 0)
    before, behind = np.where(possible, before, 0), np.where(possible, behind, 0)
    ways = logs[i - 1] - logs[wanted - 1] - logs[before] + logs[n - i] - logs[k - wanted] - logs[behind]
    ways = np.where(possible, ways, -np.inf)
    weights = np.exp(ways - ways.max(axis=1, keepdims=True))
    shares: Floats = weights / weights.sum(axis=1, keepdims=True)
    return shares


def _padded(rows: Sequence[Sequence[float]], length: int) -> Floats:
    return np.array([[*row, *[row[-1]] * (length - len(row))] for row in rows]).reshape(len(rows), length)


def _means(values: Floats) -> list[float]:
    return [mean(column.tolist()) for column in values.T]


def _resamples(prompts: int, seed: int) -> Floats | None:
    """[resamples, prompts]: how often each prompt is drawn in each; None where there are too few to learn from."""
    if prompts < FEWEST_CLUSTERS:
        return None
    rng = np.random.default_rng(seed)
    rows = min(RESAMPLES, max(200, AT_ONCE // prompts))
    return rng.multinomial(prompts, np.full(prompts, 1 / prompts), size=rows).astype(np.float64)


def _bounds(values: Floats, counts: Floats | None) -> list[tuple[float, float]] | None:
    """Percentile bootstrap intervals of the means of columns (Efron 1979). Values are [prompts, K]."""
    if counts is None:
        return None
    lows, highs = np.quantile(counts @ values / values.shape[0], (0.025, 0.975), axis=0)
    return list(zip(lows.tolist(), highs.tolist(), strict=True))


def _interval(values: Floats, counts: Floats | None) -> dict[str, float | None]:
    bounds = _bounds(values[:, None], counts)
    low, high = bounds[0] if bounds else (None, None)
    return {"low": low, "high": high}
