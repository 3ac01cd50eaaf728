"""Is a model as right as it is sure, and how are its rewards spread: by hand and by published values."""

from __future__ import annotations

import math

import numpy as np
import pytest

from rewardmodel.core.evaluation.calibration import BARS, BINS, calibration, sarle, spread
from rewardmodel.core.evaluation.pairs import ScoredPair, table_of
from rewardmodel.tests.scored import scored


def sure(confidence: float, *, right: int, wrong: int) -> list[ScoredPair]:
    """Pairs of which the model says `confidence`; it is right of so many."""
    difference = math.log(confidence / (1 - confidence))
    return [scored(difference, 0) for _ in range(right)] + [scored(0, difference) for _ in range(wrong)]


def test_a_model_that_is_as_right_as_it_is_sure_has_no_error() -> None:
    found = calibration(table_of(sure(0.75, right=15, wrong=5)), seed=0)
    assert found is not None
    assert found["ece"] == pytest.approx(0)
    assert found["too_sure"] == pytest.approx(0)


def test_the_error_is_the_mean_distance_over_bins_of_equal_size() -> None:
    # Two bins of 20: 0.6 against 10 of 20 right, 0.9 against 20 of 20. Both are 0.1 off, one above, one below.
    pairs = [*sure(0.9, right=20, wrong=0), *sure(0.6, right=10, wrong=10)]
    found = calibration(table_of(pairs), seed=0)
    assert found is not None
    assert [(one["pairs"], one["accuracy"]) for one in found["bins"]] == [(20, 0.5), (20, 1.0)]
    assert found["ece"] == pytest.approx(0.1)
    assert found["too_sure"] == pytest.approx(0)


def test_the_error_by_chance_is_that_of_a_calibrated_model() -> None:
    # One bin of 20 at 0.75: the mean of |k / 20 - 0.75| where k is binomial.
    chances = [math.comb(20, k) * 0.75**k * 0.25 ** (20 - k) for k in range(21)]
    expected = sum(chance * abs(k / 20 - 0.75) for k, chance in enumerate(chances))
    found = calibration(table_of(sure(0.75, right=20, wrong=0)), seed=0)
    assert found is not None
    assert found["ece_by_chance"] == pytest.approx(expected, rel=0.15)


@pytest.mark.parametrize(("pairs", "bins"), [(1, 1), (39, 1), (40, 2), (300, 15), (1000, 15)])
def test_there_are_15_bins_and_fewer_where_they_would_be_small(pairs: int, bins: int) -> None:
    assert bins <= BINS
    found = calibration(table_of([scored(number, 0) for number in range(pairs)]), seed=0)
    assert found is not None
    assert len(found["bins"]) == bins
    assert sum(one["pairs"] for one in found["bins"]) == pairs


def test_a_tie_says_one_half_and_is_half_right() -> None:
    found = calibration(table_of([scored(3, 3)]), seed=0)
    assert found is not None
    assert (found["bins"][0]["confidence"], found["bins"][0]["accuracy"]) == (0.5, 0.5)


def test_an_enormous_difference_is_certain_and_overflows_nothing() -> None:
    found = calibration(table_of([scored(1e9, -1e9)]), seed=0)
    assert found is not None
    assert found["bins"][0]["confidence"] == 1.0


def test_sarles_coefficient_by_hand() -> None:
    # 0, 0, 1, 1: skewness 0, fourth moment 1, k = 3/(2·1) · (5·(1 - 3) + 6) = -6; 1 / (-6 + 3·9/(2·1)) = 1/7.5.
    assert sarle(np.array([0.0, 0, 1, 1])) == pytest.approx(1 / 7.5)


@pytest.mark.parametrize(("shape", "published"), [("uniform", 5 / 9), ("normal", 1 / 3), ("two points", 1.0)])
def test_sarles_coefficient_of_known_distributions(shape: str, published: float) -> None:
    # (g² + 1) / kurtosis: kurtosis 9/5 of the uniform, 3 of the normal, 1 of two equal points; skewness 0.
    rng = np.random.default_rng(0)
    draws = {
        "uniform": (np.arange(100_000) + 0.5) / 100_000,
        "normal": rng.normal(size=100_000),
        "two points": np.tile([-1.0, 1.0], 50_000),
    }
    assert sarle(draws[shape]) == pytest.approx(published, abs=0.01)


@pytest.mark.parametrize("values", [[], [1.0, 2.0, 3.0], [5.0] * 9], ids=["none", "three", "all alike"])
def test_sarles_coefficient_needs_four_values_that_differ(values: list[float]) -> None:
    assert sarle(np.array(values)) is None


@pytest.mark.parametrize("rewards", [(1.0, 0.0), (0.0, 0.0), (1e6, 1e6), (1e-9, 0.0), (1e20, -1e20)])
def test_every_response_and_pair_is_in_a_histogram(rewards: tuple[float, float]) -> None:
    found = spread(table_of([scored(*rewards)]))
    assert found is not None
    assert sum(found["rewards"]["chosen"]) == sum(found["rewards"]["rejected"]) == 1
    assert sum(found["margins"]["pairs"]) == 1
    assert len(found["rewards"]["edges"]) == BARS + 1
