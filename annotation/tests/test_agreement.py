"""Coefficients of agreement: numbers by hand and from the papers, and answers where there is no number."""

from __future__ import annotations

from collections.abc import Callable
from math import atan, pi, sqrt

import numpy as np
import pytest
from numpy.typing import NDArray

from annotation.core.agreement.coefficients import (
    ALONE,
    CHANCE_IS_CERTAIN,
    HANGS_ON_ONE,
    NO_SPREAD,
    ONE_ITEM,
    Coefficient,
    all_coefficients,
    alpha,
    brennan_prediger,
    cohen,
    conger,
    fleiss,
    gwet,
    krippendorff,
    percent_agreement,
)
from annotation.core.agreement.student import quantile, tail
from annotation.core.agreement.tables import BadRatings, Ratings
from annotation.core.agreement.weights import Category, Metric, NoWeights, Weighting, weight_matrix

# Fleiss' worked example as it is usually retold: 10 items, 14 raters, 5 categories; kappa 0.210.
FOURTEEN = (
    (0, 0, 0, 0, 14),
    (0, 2, 6, 4, 2),
    (0, 0, 3, 5, 6),
    (0, 3, 9, 2, 0),
    (2, 2, 8, 1, 1),
    (7, 7, 0, 0, 0),
    (3, 2, 6, 3, 0),
    (2, 5, 3, 2, 2),
    (6, 5, 2, 1, 0),
    (0, 2, 2, 3, 7),
)
# Six items, three raters.
SMALL = ((1, 1, 2), (2, 2, 2), (1, 3, 3), (3, 3, 3), (2, 1, 3), (1, 1, 1))


Kind = Callable[[Ratings, Weighting], Coefficient]


def of(*rows: tuple[Category | None, ...], categories: tuple[Category, ...] | None = None) -> Ratings:
    return Ratings.from_matrix(rows, categories)


def test_weights_of_four_categories() -> None:
    # Steps 1, 2, 3. Ordinal: 1 - pairs among the d + 1 categories / 6, so 1, 3, 6 of 6.
    rows = {
        Weighting.IDENTITY: (1, 0, 0, 0),
        Weighting.ORDINAL: (1, 5 / 6, 1 / 2, 0),
        Weighting.LINEAR: (1, 2 / 3, 1 / 3, 0),
        Weighting.QUADRATIC: (1, 8 / 9, 5 / 9, 0),
        Weighting.RADICAL: (1, 1 - sqrt(1 / 3), 1 - sqrt(2 / 3), 0),
        # ((x - 1) / (x + 1))² is 1/9, 1/4, 9/25, of which 9/25 is the largest.
        Weighting.RATIO: (1, 1 - 25 / 81, 1 - 25 / 36, 0),
        # sin² of 45°, 90°, 135°: the fourth category is as near to the first as the second is.
        Weighting.CIRCULAR: (1, 1 / 2, 0, 1 / 2),
        # d² / ((1 + x - 2) (8 - 1 - x)): 1/5, 4/8, 9/9.
        Weighting.BIPOLAR: (1, 4 / 5, 1 / 2, 0),
    }
    for weighting, row in rows.items():
        weights = weight_matrix(weighting, (1, 2, 3, 4))
        assert weights[0] == pytest.approx(row), weighting
        assert np.allclose(weights, weights.T)


def test_numbers_weigh_by_size_and_text_by_place() -> None:
    assert weight_matrix(Weighting.LINEAR, (0, 1, 4))[0] == pytest.approx((1, 3 / 4, 0))
    assert weight_matrix(Weighting.LINEAR, ("low", "mid", "high"))[0] == pytest.approx((1, 1 / 2, 0))


def test_very_small_numbers_have_weights_too() -> None:
    for weighting in Weighting:
        assert np.isfinite(weight_matrix(weighting, (1e-200, 2e-200, 3e-200))).all()


def test_negative_numbers_have_no_ratio_weights() -> None:
    with pytest.raises(NoWeights, match="from 0 upwards"):
        weight_matrix(Weighting.RATIO, (-1, 0, 1))
    found = gwet(of((-1, 1), (1, 1), (0, 0)), Weighting.RATIO)
    assert (found.value, found.why[:13]) == (None, "ratio weights")


def test_cohens_kappa_of_a_table() -> None:
    # 20 and 15 of 50 agree: pa 0.7. The one says yes to 25 and the other to 30 of 50: pe = 0.5 · 0.6 + 0.5 · 0.4.
    found = cohen(Ratings.from_table(((20, 5), (10, 15))))
    assert (found.observed, found.expected, found.value) == pytest.approx((0.7, 0.5, 0.4))


def test_cohens_kappa_has_the_error_of_fleiss_cohen_and_everitt() -> None:
    # Their formula, with marginals 0.5, 0.5 of rows and 0.6, 0.4 of columns, kappa 0.4 and pe 0.5:
    #   n (1 - pe)² var = Σ p_kk (1 - (p_k. + p_.k) 0.6)² + 0.6² Σ p_kl (p_.k + p_l.)² - (0.4 - 0.5 · 0.6)²
    same = 0.4 * (1 - 1.1 * 0.6) ** 2 + 0.3 * (1 - 0.9 * 0.6) ** 2
    apart = 0.6**2 * (0.1 * (0.6 + 0.5) ** 2 + 0.2 * (0.4 + 0.5) ** 2)
    found = cohen(Ratings.from_table(((20, 5), (10, 15))))
    assert found.se == pytest.approx(sqrt((same + apart - 0.1**2) / 0.5**2 / 50))


def test_fleiss_kappa_of_fourteen_raters() -> None:
    rows = [(i, f"{k}-{n}", k) for i, row in enumerate(FOURTEEN) for k, n in enumerate(row) for n in range(n)]
    found = fleiss(Ratings.from_rows(rows))
    assert (found.observed, found.expected, found.value) == pytest.approx((0.378, 0.213, 0.210), abs=5e-4)


def test_gwets_ac1_where_kappa_fails() -> None:
    # Gwet (2008): 118 of 125 agree on the common category, 5 and 2 differ. Common by 123 and 120: π = 243/250,
    # pe = 2 π (1 - π) = 0.054432, AC1 = (0.944 - pe) / (1 - pe); kappa is below 0.
    table = Ratings.from_table(((118, 5), (2, 0)))
    assert gwet(table).expected == pytest.approx(0.054432)
    assert gwet(table).value == pytest.approx(0.889568 / 0.945568)
    assert cohen(table).value == pytest.approx(-0.0234, abs=5e-5)


def test_krippendorffs_alpha_of_two_observers() -> None:
    # Krippendorff (2011), parts A and B: 0.095 and 0.692.
    binary = Ratings.from_matrix(list(zip(map(int, "0100000010"), map(int, "1110010000"), strict=True)))
    nominal = Ratings.from_matrix(list(zip("aabbdcccedda", "babbbccceddd", strict=True)))
    assert alpha(binary).value == pytest.approx(0.095, abs=5e-4)
    assert alpha(nominal).value == pytest.approx(0.692, abs=5e-4)


def test_brennan_prediger_and_percent_have_standard_errors_by_hand() -> None:
    # Two of four items agree. Percent: four squares of 1/2 over 4 · 3. Brennan-Prediger: (pa - 1/2) / (1/2), twice it.
    ratings = of((1, 1), (2, 2), (1, 2), (2, 1))
    assert (percent_agreement(ratings).value, percent_agreement(ratings).se) == pytest.approx(
        (0.5, sqrt(1 / 12))
    )
    assert (brennan_prediger(ratings).value, brennan_prediger(ratings).se) == pytest.approx(
        (0, 2 * sqrt(1 / 12))
    )


def test_an_item_with_one_rating_counts_for_chance_alone() -> None:
    # Agreement on (1,1), (1,2): 1/2. π_1 = (1 + 1/2 + 0) / 3 = 1/2, so pe(Fleiss) = 1/2; without the third item 5/8.
    assert fleiss(of((1, 1), (1, 2), (2, None))).expected == pytest.approx(1 / 2)
    assert fleiss(of((1, 1), (1, 2))).expected == pytest.approx(5 / 8)
    assert krippendorff(of((1, 1), (1, 2), (2, None))).expected == pytest.approx(5 / 8)


def test_missing_ratings_make_fewer_pairs() -> None:
    # Of the first item one pair of three agrees, of the second its only pair.
    assert percent_agreement(of((1, 1, 2), (None, 2, 2))).value == pytest.approx((1 / 3 + 1) / 2)


@pytest.mark.parametrize("kind", [brennan_prediger, conger, fleiss, gwet, krippendorff])
@pytest.mark.parametrize("weighting", [Weighting.IDENTITY, Weighting.ORDINAL])
def test_a_linearised_error_is_made_of_what_each_item_moves(kind: Kind, weighting: Weighting) -> None:
    # Every item a thousand times, and one of them once more: the value moves by that item's influence over 6,000.
    many = 1_000
    base = kind(Ratings.from_matrix(SMALL * many), weighting).value
    assert base is not None
    squares = 0.0
    for row in SMALL:
        moved = kind(Ratings.from_matrix((*(SMALL * many), row)), weighting).value
        assert moved is not None
        squares += ((moved - base) * len(SMALL) * many) ** 2
    assert kind(of(*SMALL), weighting).se == pytest.approx(sqrt(squares / (6 * 5)), rel=2e-3)


def test_the_ordinal_metric_has_the_jackknifes_error() -> None:
    left_out = [alpha(of(*SMALL[:i], *SMALL[i + 1 :]), Metric.ORDINAL).value or 0.0 for i in range(6)]
    mean = sum(left_out) / 6
    found = alpha(of(*SMALL), Metric.ORDINAL)
    assert found.se == pytest.approx(sqrt(5 / 6 * sum((value - mean) ** 2 for value in left_out)))
    assert found.se_method == "jackknife"


def test_ordinal_weights_are_not_the_ordinal_metric() -> None:
    ratings = of((1, 1), (1, 2), (2, 3), (3, 3), (1, 1), (1, 1))
    # 1, 2, 3 occur 7, 2, 3 times: midranks 3.5, 8, 10.5. Seen: 4.5² and 2.5² in 6 pairs. Expected: 7 · 2 · 4.5²
    # + 7 · 3 · 7² + 2 · 3 · 2.5² = 1350 in 12 · 11 / 2 = 66 pairs.
    assert alpha(ratings, Metric.ORDINAL).value == pytest.approx(1 - (26.5 / 6) / (1350 / 66))
    # By weights the distances are 1/3, 1, 1/3. Seen: 2/3 in 6 pairs. Expected: 14/3 + 21 + 6/3 = 83/3 in 66 pairs.
    assert krippendorff(ratings, Weighting.ORDINAL).value == pytest.approx(1 - (2 / 3 / 6) / (83 / 3 / 66))


def test_the_tail_of_student() -> None:
    # One degree of freedom is Cauchy's; the others are from any table of the distribution.
    assert tail(2.0, 1) == pytest.approx(1 / 2 - atan(2) / pi)
    assert tail(-2.0, 1) == pytest.approx(1 / 2 + atan(2) / pi)
    table = {
        (0.95, 1): 12.7062,
        (0.95, 11): 2.2010,
        (0.99, 5): 4.0321,
        (0.9, 30): 1.6973,
        (0.95, 10**6): 1.9600,
    }
    for (confidence, freedom), t in table.items():
        assert quantile(confidence, freedom) == pytest.approx(t, abs=5e-5)


def test_a_wider_confidence_makes_a_wider_interval() -> None:
    narrow, wide = (gwet(of(*SMALL), confidence=confidence) for confidence in (0.8, 0.99))
    assert wide.low is not None
    assert narrow.low is not None
    assert wide.low < narrow.low


def test_the_p_value_is_two_sided_and_beside_it_the_one_sided() -> None:
    found = fleiss(of(*SMALL))
    assert found.p_one_sided is not None
    assert found.p_value == pytest.approx(2 * found.p_one_sided)
    assert percent_agreement(of(*SMALL)).p_value is None


def test_cohens_kappa_is_refused_for_three_raters() -> None:
    assert cohen(of(*SMALL)).value is None
    assert "two raters" in cohen(of(*SMALL)).why
    assert "cohen" not in {found.name for found in all_coefficients(of(*SMALL))}


def test_cohens_kappa_takes_the_items_that_both_rated() -> None:
    both = ((1, 1), (2, 2), (1, 2), (3, 3))
    found = cohen(of(*both, (1, None), (None, 3)))
    assert (found.value, found.items) == (cohen(of(*both)).value, 4)


@pytest.mark.parametrize(
    "ratings",
    [of((1,), (2,)), of((1, None), (None, 2)), of((None, None)), of(), of(categories=("a", "b"))],
    ids=["one rater", "no overlap", "no rating", "no item", "no item of named categories"],
)
def test_without_two_ratings_of_an_item_nothing_has_a_value(ratings: Ratings) -> None:
    assert {(found.value, found.why) for found in all_coefficients(ratings)} == {(None, ALONE)}


def test_in_one_category_only_percent_agreement_has_a_value() -> None:
    found = all_coefficients(of((1, 1), (1, 1)))
    assert {one.value for one in found if one.name == "percent"} == {1.0}
    assert {(one.value, one.why) for one in found if one.name != "percent"} == {(None, CHANCE_IS_CERTAIN)}


def test_a_category_that_nobody_used_makes_chance_uncertain() -> None:
    ratings = of((1, 1), (1, 1), categories=(1, 2))
    assert (gwet(ratings).value, brennan_prediger(ratings).value) == (1.0, 1.0)
    assert fleiss(ratings).why == CHANCE_IS_CERTAIN


def test_one_item_has_a_value_and_no_error() -> None:
    assert {found.why for found in all_coefficients(of((1, 2)))} == {ONE_ITEM}


def test_perfect_agreement_has_no_test() -> None:
    found = gwet(of((1, 1), (2, 2)))
    assert (found.value, found.se, found.low, found.high, found.p_value) == (1.0, 0.0, 1.0, 1.0, None)
    assert found.why == NO_SPREAD


def test_an_alpha_that_hangs_on_one_item_has_no_error() -> None:
    found = alpha(of((1, 1), (1, 1), (2, 2)), Metric.ORDINAL)
    assert (found.value, found.se, found.why) == (1.0, None, HANGS_ON_ONE)


def test_long_form_and_matrix_are_the_same_ratings() -> None:
    rows = [(f"item {i}", f"rater {g}", cell) for i, row in enumerate(SMALL) for g, cell in enumerate(row)]
    long, wide = Ratings.from_rows(rows), of(*SMALL)
    assert np.array_equal(long.counts, wide.counts)
    assert np.array_equal(long.rater_shares, wide.rater_shares)


def test_categories_are_in_the_order_of_size_the_alphabet_or_as_given() -> None:
    assert of((10, 9)).categories == (9, 10)
    assert of(("b", "a")).categories == ("a", "b")
    assert of(("low", "high"), categories=("low", "mid", "high")).categories == ("low", "mid", "high")
    assert of((1, 2), categories=(3, 2, 1)).categories == (1, 2, 3)


def test_nan_in_a_matrix_is_no_rating() -> None:
    matrix: NDArray[np.float64] = np.array([[1, np.nan], [2, 2]])
    assert len(Ratings.from_matrix(matrix.tolist()).item) == 3


@pytest.mark.parametrize(
    ("rows", "categories", "reason"),
    [
        ([("x", "Ada", 1), ("x", "Ada", 2)], None, "rater 'Ada' rates item 'x' more than once"),
        ([("x", "Ada", 3)], (1, 2), "3 is none of the categories 1, 2"),
        ([("x", "Ada", 1)], (1, 1), "a category is named twice"),
        ([("x", "Ada", float("nan"))], None, "NaN is no category"),
        ([("x", "Ada", 1e300)], None, "numbers must lie between"),
        ([(x, "Ada", x) for x in range(1001)], None, "1,001 categories are too many"),
    ],
)
def test_rows_that_are_no_ratings_are_refused(
    rows: list[tuple[str, str, float]], categories: tuple[float, ...] | None, reason: str
) -> None:
    with pytest.raises(BadRatings, match=reason):
        Ratings.from_rows(rows, categories)


@pytest.mark.parametrize(
    ("table", "categories", "reason"),
    [
        ((), None, "as many rows as columns"),
        (((1, 2), (3,)), None, "as many rows as columns"),
        (((1, -2), (3, 4)), None, "whole numbers from 0"),
        (((1, 2), (3, 4)), ("a",), "2 rows and 1 categories"),
        (((1, 2), (3, 4)), (2, 1), "must rise"),
        (((1, 2), (3, 40_000_000)), None, "more than 10,000,000 items"),
    ],
)
def test_tables_that_are_none_are_refused(
    table: tuple[tuple[int, ...], ...], categories: tuple[Category, ...] | None, reason: str
) -> None:
    with pytest.raises(BadRatings, match=reason):
        Ratings.from_table(table, categories)
