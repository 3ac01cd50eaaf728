"""What holds of the coefficients whatever the ratings are."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from annotation.core.agreement.coefficients import (
    Coefficient,
    all_coefficients,
    alpha,
    cohen,
    conger,
    gwet,
    krippendorff,
    percent_agreement,
)
from annotation.core.agreement.tables import Ratings
from annotation.core.agreement.weights import METRIC_WEIGHTS, Metric, Weighting

Matrix = list[list[int | None]]


@st.composite
def matrices(draw: st.DrawFn, *, missing: bool = True, raters: int | None = None) -> Matrix:
    """Two to nine items, two to four raters, categories 1 to 4."""
    width = raters or draw(st.integers(2, 4))
    cell = st.none() | st.integers(1, 4) if missing else st.integers(1, 4)
    return draw(st.lists(st.lists(cell, min_size=width, max_size=width), min_size=2, max_size=9))


def numbers(found: Sequence[Coefficient]) -> list[float]:
    """All that was computed, NaN for what has no value."""
    return [
        np.nan if number is None else number
        for one in found
        for number in (one.value, one.observed, one.expected, one.se, one.low, one.high)
    ]


def same(left: Matrix, right: Matrix) -> None:
    first, second = (all_coefficients(Ratings.from_matrix(matrix)) for matrix in (left, right))
    assert numbers(first) == pytest.approx(numbers(second), abs=1e-7, nan_ok=True)


@settings(max_examples=40)
@given(matrices(), st.randoms())
def test_the_order_of_items_and_raters_changes_nothing(matrix: Matrix, random: Random) -> None:
    places = list(range(len(matrix[0])))
    random.shuffle(places)
    shuffled = [[row[place] for place in places] for row in matrix]
    random.shuffle(shuffled)
    same(matrix, shuffled)


@given(matrices(), st.permutations("abcd"))
def test_what_categories_are_called_is_nothing_to_identity_weights(
    matrix: Matrix, names: Sequence[str]
) -> None:
    renamed = [[None if cell is None else names[cell - 1] for cell in row] for row in matrix]
    first, second = (Ratings.from_matrix(rows) for rows in (matrix, renamed))
    for kind in (percent_agreement, gwet, conger, krippendorff):
        assert numbers([kind(first)]) == pytest.approx(numbers([kind(second)]), abs=1e-7, nan_ok=True)


@settings(max_examples=40)
@given(matrices())
def test_a_rater_and_an_item_without_ratings_change_nothing(matrix: Matrix) -> None:
    same(matrix, [*([*row, None] for row in matrix), [None] * (len(matrix[0]) + 1)])


@settings(max_examples=40)
@given(st.lists(st.integers(1, 4), min_size=2, max_size=9))
def test_perfect_agreement_is_one(answers: list[int]) -> None:
    assume(len(set(answers)) > 1)
    found = all_coefficients(Ratings.from_matrix([[answer] * 3 for answer in answers]))
    assert [one.value for one in found] == pytest.approx([1.0] * len(found))


@settings(max_examples=40)
@given(matrices())
def test_no_value_lies_above_one_and_every_absence_has_its_reason(matrix: Matrix) -> None:
    for found in all_coefficients(Ratings.from_matrix(matrix)):
        if found.value is None or found.se is None:
            assert found.why
        else:
            assert found.low is not None
            assert found.high is not None
            assert found.low <= found.value <= found.high <= 1


@settings(max_examples=40)
@given(matrices())
def test_the_value_is_agreement_above_chance(matrix: Matrix) -> None:
    for found in all_coefficients(Ratings.from_matrix(matrix)):
        if found.value is not None and found.observed is not None:
            chance = found.expected or 0.0
            assert found.value == pytest.approx((found.observed - chance) / (1 - chance), abs=1e-9)


@given(matrices(missing=False))
def test_identity_weights_give_ac1(matrix: Matrix) -> None:
    used = {cell for row in matrix for cell in row}
    assume(len(used) > 1)
    pairs = [(g, h) for g in range(len(matrix[0])) for h in range(g)]
    pa = np.mean([row[g] == row[h] for row in matrix for g, h in pairs])
    shares = [np.mean([cell == k for row in matrix for cell in row]) for k in used]
    pe = sum(share * (1 - share) for share in shares) / (len(used) - 1)
    assert gwet(Ratings.from_matrix(matrix)).value == pytest.approx((pa - pe) / (1 - pe), abs=1e-9)


@given(matrices())
def test_a_metric_that_the_categories_fix_is_a_weighting(matrix: Matrix) -> None:
    ratings = Ratings.from_matrix(matrix)
    for metric, weighting in METRIC_WEIGHTS.items():
        assert numbers([alpha(ratings, metric)]) == pytest.approx(
            numbers([krippendorff(ratings, weighting)]), nan_ok=True
        )


@given(matrices())
def test_alpha_is_one_less_disagreement_seen_over_expected(matrix: Matrix) -> None:
    # Krippendorff's definition, pair by pair; his ordinal distance by its own sum.
    units = [[cell for cell in row if cell is not None] for row in matrix]
    values = [(u, cell) for u, unit in enumerate(units) if len(unit) > 1 for cell in unit]
    uses = np.bincount([cell for _, cell in values], minlength=5)

    def distance(metric: Metric, c: int, k: int) -> float:
        low, high = min(c, k), max(c, k)
        between = float(uses[low : high + 1].sum() - (uses[c] + uses[k]) / 2)
        return {"nominal": float(c != k), "ordinal": between, "interval": c - k, "ratio": (c - k) / (c + k)}[
            metric
        ]

    assume(len({cell for _, cell in values}) > 1)
    for metric in Metric:
        pairs = [(u == v, len(units[u]), distance(metric, c, k) ** 2) for u, c in values for v, k in values]
        seen = sum(d / (size - 1) for inside, size, d in pairs if inside) / len(values)
        chance = sum(d for _, _, d in pairs) / len(values) / (len(values) - 1)
        found = alpha(Ratings.from_matrix(matrix), metric).value
        assert found == pytest.approx(1 - seen / chance, abs=1e-9)


@given(matrices(missing=False, raters=2))
def test_of_two_raters_conger_is_cohen(matrix: Matrix) -> None:
    ratings = Ratings.from_matrix(matrix)
    n = ratings.items
    for weighting in Weighting:
        one, two = cohen(ratings, weighting), conger(ratings, weighting)
        assert numbers([one])[:3] == pytest.approx(numbers([two])[:3], nan_ok=True, abs=1e-9)
        if one.se is not None and two.se is not None:
            assert one.se * (n / (n - 1)) ** 0.5 == pytest.approx(two.se, abs=1e-9)


@settings(max_examples=40)
@given(matrices(missing=False, raters=2))
def test_a_contingency_table_says_the_same_as_its_items(matrix: Matrix) -> None:
    ratings = Ratings.from_matrix(matrix, categories=(1, 2, 3, 4))
    table = [[sum(row == [k, m] for row in matrix) for m in range(1, 5)] for k in range(1, 5)]
    for one, two in zip(all_coefficients(ratings), all_coefficients(Ratings.from_table(table)), strict=True):
        assert numbers([one])[:3] == pytest.approx(numbers([two])[:3], nan_ok=True, abs=1e-9)
