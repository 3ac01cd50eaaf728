"""What each coefficient is made of: agreement seen, agreement expected by chance, and each item's part in both.

Knows ratings and weights. Must not know intervals, tests or how anything is printed.

Formulas are those of Gwet, Handbook of Inter-Rater Reliability (4th ed.), with its treatment of missing ratings:
agreement is seen on items with two ratings or more, chance is taken from all of them (but for Krippendorff's alpha,
which leaves single ratings out). In what follows r_ik raters put item i into category k, r_i rated it at all,
p_ik = r_ik / r_i, π_k is the mean of p_ik over the n items, n' of them have r_i ≥ 2, w_kl are the weights and T their
sum.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from annotation.core.agreement.tables import Ratings
from annotation.core.agreement.weights import Weighting, weight_matrix

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Weighted:
    """Ratings under one weighting, with what the coefficients have in common."""

    ratings: Ratings
    weighting: Weighting

    @cached_property
    def weights(self) -> Floats:
        """w_kl, shape (q, q). Raises `NoWeights`."""
        return weight_matrix(self.weighting, self.ratings.categories)

    @cached_property
    def agreed(self) -> Floats:
        """Σ r_ik (Σ w_kl r_il - 1) / (r_i (r_i - 1)), shape (n,); 0 for an item with one rating."""
        counts, sizes = self.ratings.counts, self.ratings.sizes
        pairs = np.einsum("ik,ik->i", counts, counts @ self.weights) - sizes
        agreed: Floats = pairs / np.where(sizes < 2, np.inf, sizes * (sizes - 1))
        return agreed


@dataclass(frozen=True, eq=False)
class Parts:
    """The ingredients of (pa - pe) / (1 - pe), with the items apart for its standard error.

    `above` and `pull` have shape (n,). `above` is an item's agreement above chance, with mean pa - pe; `pull`, with
    mean 0, is how far an item moves pe, to first order.
    """

    observed: float
    expected: float
    above: Floats
    pull: Floats

    def standard_error(self, *, by_n: bool) -> float:
        """By linearisation: the items' first-order contributions vary, and the coefficient is their mean.

        The sum of squares is divided by n (n - 1), or `by_n` by n² as is published for contingency tables.
        """
        n, mean, room = len(self.above), self.above.mean(), 1 - self.expected
        moved = (self.above - mean - (1 - mean / room) * self.pull) / room
        return float(np.sqrt((moved**2).sum() / n / (n if by_n else n - 1)))


def without_chance(given: Weighted) -> Parts:
    """Percent agreement: pe = 0."""
    return _from(given, 0.0, np.zeros(given.ratings.items))


def brennan_prediger(given: Weighted) -> Parts:
    """All categories equally likely by chance: pe = T / q² (Brennan & Prediger 1981; Gwet's weighted form)."""
    return _from(given, float(given.weights.mean()), np.zeros(given.ratings.items))


def gwet(given: Weighted) -> Parts:
    """pe = T / (q (q - 1)) Σ π_k (1 - π_k): AC1 with identity weights, AC2 with others (Gwet 2008, 2014)."""
    shares, q = given.ratings.shares, len(given.weights)
    if q < 2:
        return _from(given, 1.0, np.zeros(given.ratings.items))
    hard = given.weights.sum() / (q * (q - 1)) * (1 - shares.mean(axis=0))
    return _by_item(given, shares @ hard)


def fleiss(given: Weighted) -> Parts:
    """pe = Σ w_kl π_k π_l (Fleiss 1971); for two raters it is Scott's pi (1955)."""
    shares = given.ratings.shares
    return _by_item(given, shares @ (given.weights @ shares.mean(axis=0)))


def conger(given: Weighted) -> Parts:
    """pe = the mean of Σ w_kl p_gk p_hl over every two raters g, h (Conger 1980), for two raters Cohen's.

    p_gk is the share of category k among the n_g ratings of rater g.
    """
    ratings = given.ratings
    own, r, n = ratings.rater_shares, ratings.raters, ratings.items
    met = (own.sum(axis=0) - own) @ given.weights / (r * (r - 1))  # (r, q): how g meets the others in k
    chances = (own * met).sum(axis=1)
    worth = n / np.bincount(ratings.rater, minlength=r)
    moves = ((met - chances[:, None]) * worth[:, None])[ratings.rater, ratings.code]
    pull = np.bincount(ratings.item, weights=2 * moves, minlength=n).astype(np.float64)
    return _from(given, float(chances.sum()), pull)


def krippendorff(given: Weighted) -> Parts:
    """Alpha as Gwet writes it (Handbook, the chapter on alpha). Every item must have two ratings or more.

    r̄ is the mean r_i and ε = 1 / (n r̄); π_k is the mean of r_ik / r̄; pa = (1 - ε) pa' + ε with pa' the mean of
    Σ r_ik (Σ w_kl r_il - 1) / (r̄ (r_i - 1)), and pe = Σ w_kl π_k π_l. The items' own parts are those of pa', without
    the correction by ε: so the published standard errors have it.
    """
    counts, sizes = given.ratings.counts, given.ratings.sizes
    mean, total = sizes.mean(), sizes.sum()
    unlike = (sizes - mean) / mean
    agreed = given.agreed * sizes / mean
    pi = counts.sum(axis=0) / total
    expected = float(pi @ given.weights @ pi)
    observed = float((1 - 1 / total) * agreed.mean() + 1 / total)
    chances = counts @ (given.weights @ pi) / mean
    return Parts(
        observed=observed,
        expected=expected,
        above=agreed - observed * unlike - expected,
        pull=2 * (chances - expected * unlike - expected),
    )


def _by_item(given: Weighted, chances: Floats) -> Parts:
    """Where pe is the mean of the items' own chances, and quadratic in the shares: hence the 2."""
    expected = float(chances.mean())
    return _from(given, expected, 2 * (chances - expected))


def _from(given: Weighted, expected: float, pull: Floats) -> Parts:
    """Agreement seen, pa: the mean over n' items of the share of an item's pairs of ratings that agree.

    An item with one rating counts among the n but adds no agreement above chance, and the rest weigh n / n'.
    """
    paired = given.ratings.sizes >= 2
    return Parts(
        observed=float(given.agreed[paired].mean()),
        expected=expected,
        above=np.where(paired, (given.agreed - expected) * (len(paired) / paired.sum()), 0.0),
        pull=pull,
    )
