"""Coefficients of agreement between raters, each with its standard error, interval and test.

Knows ratings, weights and metrics. Must not know files or how results are shown. The formulas are in `parts` and
`ordinal`; here they become answers, also where there is none: a coefficient that ratings leave undefined has no
value and says why.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import isnan
from typing import Final

from annotation.core.agreement import parts
from annotation.core.agreement.ordinal import ordinal_alpha
from annotation.core.agreement.parts import Parts, Weighted
from annotation.core.agreement.student import quantile, tail
from annotation.core.agreement.tables import Ratings
from annotation.core.agreement.weights import METRIC_WEIGHTS, Metric, NoWeights, Weighting

PERCENT: Final = "percent"
COHEN: Final = "cohen"
KRIPPENDORFF: Final = "krippendorff"
_NOTHING: Final = 1e-12  # what is smaller is rounding

ALONE: Final = "no item has two ratings"
CHANCE_IS_CERTAIN: Final = "all ratings are in one category, so chance alone would always agree: 0 / 0"
ONE_ITEM: Final = "one item has no spread, so there is no standard error"
NO_SPREAD: Final = "the standard error is 0, so the interval is a point and there is no test"
HANGS_ON_ONE: Final = "without one of its items alpha has no value, so there is no standard error"


@dataclass(frozen=True, slots=True)
class Coefficient:
    """One coefficient; what could not be computed is None, and `why` says the reason.

    `value` is (observed - expected) / (1 - expected); percent agreement has no `expected`. The interval is by
    Student's t with `items` - 1 degrees of freedom and ends at 1. Both p values test for a value of 0, which is
    agreement as by chance; so percent agreement has none.
    """

    name: str
    weights: Weighting | None  # Gwet's; None where a metric of Krippendorff's takes their place
    metric: Metric | None
    confidence: float
    items: int  # that entered, which with alpha are those with two ratings or more
    raters: int
    value: float | None = None
    observed: float | None = None
    expected: float | None = None
    se: float | None = None
    se_method: str = ""  # "linearised" or "jackknife"
    low: float | None = None
    high: float | None = None
    p_value: float | None = None  # two-sided
    p_one_sided: float | None = None  # against values above 0
    why: str = ""


def percent_agreement(
    ratings: Ratings, weighting: Weighting = Weighting.IDENTITY, *, confidence: float = 0.95
) -> Coefficient:
    """The mean share of an item's pairs of ratings that agree, weighted."""
    return _linearised(PERCENT, Weighted(ratings, weighting), confidence)


def brennan_prediger(
    ratings: Ratings, weighting: Weighting = Weighting.IDENTITY, *, confidence: float = 0.95
) -> Coefficient:
    """Brennan & Prediger (1981): every category equally likely by chance."""
    return _linearised("brennan_prediger", Weighted(ratings, weighting), confidence)


def cohen(
    ratings: Ratings, weighting: Weighting = Weighting.IDENTITY, *, confidence: float = 0.95
) -> Coefficient:
    """Cohen's kappa (1960, weighted 1968) of two raters, from the items that both rated.

    Those items make a contingency table, so the variance is that of Fleiss, Cohen & Everitt (1969), which divides
    by n.
    """
    if ratings.raters > 2:
        why = f"it is for two raters and there are {ratings.raters}: Conger's kappa is for more"
        return Coefficient(COHEN, weighting, None, confidence, ratings.items, ratings.raters, why=why)
    return _linearised(COHEN, Weighted(ratings.paired, weighting), confidence)


def conger(
    ratings: Ratings, weighting: Weighting = Weighting.IDENTITY, *, confidence: float = 0.95
) -> Coefficient:
    """Conger's kappa (1980): chance is that of each two raters' own habits."""
    return _linearised("conger", Weighted(ratings, weighting), confidence)


def fleiss(
    ratings: Ratings, weighting: Weighting = Weighting.IDENTITY, *, confidence: float = 0.95
) -> Coefficient:
    """Fleiss' kappa (1971): chance is the same for all raters; of two raters it is Scott's pi."""
    return _linearised("fleiss", Weighted(ratings, weighting), confidence)


def gwet(
    ratings: Ratings, weighting: Weighting = Weighting.IDENTITY, *, confidence: float = 0.95
) -> Coefficient:
    """Gwet's AC1, or AC2 with any weights but identity (2008, 2014)."""
    return _linearised("gwet", Weighted(ratings, weighting), confidence)


def krippendorff(
    ratings: Ratings, weighting: Weighting = Weighting.IDENTITY, *, confidence: float = 0.95
) -> Coefficient:
    """Krippendorff's alpha with Gwet's weights and Gwet's linearised standard error; `alpha` has the metrics."""
    return _linearised(KRIPPENDORFF, Weighted(ratings.paired, weighting), confidence)


def alpha(ratings: Ratings, metric: Metric = Metric.NOMINAL, *, confidence: float = 0.95) -> Coefficient:
    """Krippendorff's alpha with his own metrics (2011).

    The nominal, interval and ratio metric are fixed by the categories; alpha is then that of identity, quadratic
    and ratio weights, with the same linearised standard error. The ordinal metric is no weighting of Gwet's; its
    standard error is the jackknife's over items.
    """
    paired = ratings.paired
    if metric in METRIC_WEIGHTS:
        same = _linearised(KRIPPENDORFF, Weighted(paired, METRIC_WEIGHTS[metric]), confidence)
        return replace(same, weights=None, metric=metric)
    blank = Coefficient(KRIPPENDORFF, None, metric, confidence, paired.items, paired.raters)
    if not paired.items:
        return replace(blank, why=ALONE)
    found = ordinal_alpha(paired.counts)
    blank = replace(blank, observed=found.observed, expected=found.expected)
    return _with_value(blank, found.expected, lambda: found.error, "jackknife")


def all_coefficients(ratings: Ratings, *, confidence: float = 0.95) -> list[Coefficient]:
    """Every coefficient with every weighting of Gwet's, then alpha with every metric of Krippendorff's.

    Cohen's kappa is among them where there are two raters.
    """
    names = [name for name in _PARTS if name != COHEN or ratings.raters == 2]
    found = []
    for weighting in Weighting:
        whole, paired = Weighted(ratings, weighting), Weighted(ratings.paired, weighting)
        for name in names:
            found.append(_linearised(name, paired if name in _OF_PAIRED else whole, confidence))
    return found + [alpha(ratings, metric, confidence=confidence) for metric in Metric]


_PARTS: Final[dict[str, Callable[[Weighted], Parts]]] = {
    PERCENT: parts.without_chance,
    "brennan_prediger": parts.brennan_prediger,
    COHEN: parts.conger,
    "conger": parts.conger,
    "fleiss": parts.fleiss,
    "gwet": parts.gwet,
    KRIPPENDORFF: parts.krippendorff,
}
_OF_PAIRED: Final = {COHEN, KRIPPENDORFF}


def _linearised(name: str, given: Weighted, confidence: float) -> Coefficient:
    ratings = given.ratings
    blank = Coefficient(name, given.weighting, None, confidence, ratings.items, ratings.raters)
    if not ratings.paired.items:
        return replace(blank, why=ALONE)
    try:
        made = _PARTS[name](given)
    except NoWeights as none:
        return replace(blank, why=str(none))
    blank = replace(blank, observed=made.observed, expected=None if name == PERCENT else made.expected)
    by_n = ratings.is_table or name == COHEN
    return _with_value(blank, made.expected, lambda: made.standard_error(by_n=by_n), "linearised")


def _with_value(
    blank: Coefficient, expected: float, error: Callable[[], float], se_method: str
) -> Coefficient:
    """`blank` holds the agreement seen; `error` is asked only where a value exists and items can differ."""
    if blank.observed is None or 1 - expected < _NOTHING:
        return replace(blank, why=CHANCE_IS_CERTAIN)
    known = replace(blank, value=min(1.0, (blank.observed - expected) / (1 - expected)))
    if blank.items < 2:
        return replace(known, why=ONE_ITEM)
    se = error()
    if isnan(se):
        return replace(known, why=HANGS_ON_ONE)
    return _with_interval(replace(known, se=se if se > _NOTHING else 0.0, se_method=se_method))


def _with_interval(known: Coefficient) -> Coefficient:
    value, se, freedom = known.value or 0.0, known.se or 0.0, known.items - 1
    half = quantile(known.confidence, freedom) * se
    # A share cannot be negative; what is corrected for chance can, and has no lowest value that all of them share.
    low = max(0.0, value - half) if known.name == PERCENT else value - half
    known = replace(known, low=low, high=min(1.0, value + half))
    if known.name == PERCENT:
        return known
    if not se:
        return replace(known, why=NO_SPREAD)
    t = value / se
    return replace(known, p_value=2 * tail(abs(t), freedom), p_one_sided=tail(t, freedom))
