"""Shares and medians of many people at once, each beside the others'.

Knows arrays: [P] is one number a person, [P, F] one for each kind of work that they do. Must not know what is counted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

_Z95: Final = NormalDist().inv_cdf(0.975)


@dataclass(frozen=True, slots=True)
class Share:
    """`hits` of `trials`, with a 95 % interval (Wilson 1927).

    `others` is what the others' work of the same kind comes to, None where there is none; `z` the difference in
    standard errors, 0 where it cannot be told.
    """

    hits: float
    trials: int
    low: float
    high: float
    others: float | None
    z: float

    @property
    def value(self) -> float | None:
        return self.hits / self.trials if self.trials else None

    @property
    def excess(self) -> float:
        """How far above the others, below where negative; 0 where it cannot be told."""
        return 0.0 if self.others is None or not self.trials else self.hits / self.trials - self.others


def wilson(share: float, trials: float) -> tuple[float, float]:
    """The 95 % interval of Wilson (1927) for a share of so many independent trials, which need not be whole."""
    spread = _Z95**2 / trials
    middle = (share + spread / 2) / (1 + spread)
    half = _Z95 * math.sqrt(share * (1 - share) / trials + spread / (4 * trials)) / (1 + spread)
    return max(0.0, middle - half), min(1.0, middle + half)


def fair_coin_p(hits: int, trials: int) -> float:
    """The probability that a fair coin is at least as far from half in so many throws; exact."""
    most = max(hits, trials - hits)
    heads = np.arange(most, trials + 1)
    factorials = np.concatenate([[0.0], np.log(np.arange(1, trials + 1)).cumsum()])
    ways = factorials[trials] - factorials[heads] - factorials[trials - heads]
    return min(1.0, 2 * float(np.exp(ways - trials * math.log(2)).sum()))


@dataclass(frozen=True, slots=True)
class Rates:
    """[P]: sums, and as how many independent trials they count."""

    hits: Floats
    trials: Floats
    effective: Floats

    @property
    def share(self) -> Floats:
        return self.hits / np.maximum(self.trials, 1)


def rates(who: Ints, hits: Any, trials: Any, people: int) -> Rates:
    """Of what each judgment adds to its person `who`; judgments are independent, trials of one judgment are not."""

    def total(values: Any) -> Floats:
        return np.bincount(who, values, people).astype(np.float64)

    all_hits, all_trials, units = total(hits), total(trials), total(np.asarray(trials) > 0)
    share = all_hits / np.maximum(all_trials, 1)
    # The variance of a ratio of sums (Cochran 1977, Sampling Techniques, section 2.11).
    squares = total((hits - share[who] * trials) ** 2)
    variance = squares / np.maximum(all_trials, 1) ** 2 * units / np.maximum(units - 1, 1)
    # As many independent trials as would have this variance.
    effective = np.divide(share * (1 - share), variance, out=units.copy(), where=variance > 0)
    return Rates(all_hits, all_trials, np.clip(effective, units, all_trials))


def standardised(own: Floats, hits: Floats, trials: Floats, independent: Floats) -> tuple[Floats, Floats]:
    """[P]: others' rates by focus [P, F], weighed by a person's own trials [P, F], and the variance; NaN where
    the others did nothing of a kind that this person did."""
    hits = np.clip(hits, 0, trials)  # rounding may leave a trace of what was taken away
    with np.errstate(invalid="ignore", divide="ignore"):
        weight = own / own.sum(1, keepdims=True)
        rate = hits / trials
        # Never quite 0 or 1, which a few hundred trials cannot show.
        smooth = (hits + 1) / (trials + 2)
        used = own > 0
        mean = np.where(used, weight * rate, 0.0).sum(1)
        variance = np.where(used, weight**2 * smooth * (1 - smooth) / independent, 0.0).sum(1)
    mean[~used.any(1)] = np.nan
    return mean, variance


def beside(own: Rates, others: Floats, variance: Floats) -> list[Share]:
    """Everybody's share, held against the others' rate [P], which is known with a variance [P]."""
    z = z_of(own.share - others, null_variance(others, own.effective) + variance)
    columns = (own.hits, own.trials, own.effective, others, z)
    return [_share(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]


def _share(hits: float, trials: float, effective: float, others: float, z: float) -> Share:
    low, high = wilson(hits / trials, effective) if trials else (0.0, 1.0)
    return Share(hits, int(trials), low, high, or_none(others), z)


def null_variance(rate: Floats, trials: Floats) -> Floats:
    """The variance of a share of so many trials, were the rate the others'; never quite 0."""
    smooth = (rate * trials + 1) / (trials + 2)
    return smooth * (1 - smooth) / np.maximum(trials, 1)


def z_of(difference: Floats, variance: Floats) -> Floats:
    """[P]: a difference in standard errors, 0 where it cannot be told."""
    known = np.isfinite(difference) & np.isfinite(variance) & (variance > 0)
    return np.where(known, difference / np.sqrt(np.where(known, variance, 1.0)), 0.0)


def change_of_logs(who: Ints, values: Floats, late: NDArray[np.bool_], people: int) -> Floats:
    """[P]: Welch's t between each person's late values and the others, on logarithms: times are skewed, their
    logarithms nearly normal. 0 where one side has fewer than two."""
    means, variances = [], []
    for mask in (~late, late):
        group, logs = who[mask], np.log(values[mask])
        count = np.bincount(group, minlength=people)
        mean = np.bincount(group, logs, people) / np.maximum(count, 1)
        squares = np.bincount(group, (logs - mean[group]) ** 2, people)
        means.append(np.where(count > 1, mean, np.nan))
        variances.append(squares / np.maximum(count - 1, 1) / np.maximum(count, 1))
    return z_of(means[1] - means[0], variances[0] + variances[1])


def medians_of(group: Ints, values: Floats, groups: int) -> Floats:
    """[groups]: the median of each; NaN of none."""
    counts = np.bincount(group, minlength=groups)
    ordered = np.append(values[np.lexsort((values, group))], np.nan)
    starts = counts.cumsum() - counts
    middle = (ordered[starts + np.maximum(counts - 1, 0) // 2] + ordered[starts + counts // 2]) / 2
    return np.where(counts > 0, middle, np.nan)


def medians_of_others(values: Floats) -> Floats:
    """[P]: the median of everybody's value but one's own; NaN where nobody else has one."""
    known = np.flatnonzero(~np.isnan(values))
    order = known[np.argsort(values[known], kind="stable")]
    rank = np.full(len(values), len(order))
    rank[order] = np.arange(len(order))
    left = len(order) - (rank < len(order))
    places = [middle + (middle >= rank) for middle in ((left - 1) // 2, left // 2)]
    ordered = np.append(values[order], np.nan)
    pair = [ordered[np.clip(place, 0, len(order))] for place in places]
    return np.where(left > 0, (pair[0] + pair[1]) / 2, np.nan)


def or_none(value: float) -> float | None:
    """None for NaN."""
    return None if math.isnan(value) else value
