"""How sure a share is: by hand, and by counting how often the interval holds the truth."""

from __future__ import annotations

import numpy as np
import pytest

from annotation.core.shares import wilson
from rewardmodel.core.evaluation.intervals import difference, effective_trials, share


def test_pairs_with_prompts_of_their_own_have_wilsons_interval() -> None:
    values = np.array([1.0, 1, 1, 0])
    assert share(values, np.arange(4)) == (0.75, *wilson(0.75, 4))


def test_no_pairs_have_no_share() -> None:
    assert share(np.array([]), np.array([], dtype=np.intp)) == (None, None, None)


def test_pairs_of_a_prompt_that_are_all_alike_count_as_one() -> None:
    # Residuals ±1/2, sums of the clusters ±1: variance 2/16 · 2/1 = 1/4 = p (1 - p), hence 1 trial; but two clusters
    # of two are worth 4²/(2² + 2²) = 2 at least.
    assert effective_trials(np.array([1.0, 1, 0, 0]), np.array([0, 0, 1, 1])) == 2


def test_clusters_that_are_alike_among_themselves_take_nothing_away() -> None:
    assert effective_trials(np.array([1.0, 0, 1, 0]), np.array([0, 0, 1, 1])) == 4


def test_where_all_is_right_nothing_tells_clusters_from_copies() -> None:
    # Sizes 3 and 1: 4² / (9 + 1) = 1.6.
    assert effective_trials(np.ones(4), np.array([0, 0, 0, 1])) == 1.6


def test_one_prompt_alone_is_one_trial() -> None:
    assert effective_trials(np.array([1.0, 0, 1]), np.zeros(3, dtype=np.intp)) == 1


@pytest.mark.parametrize("spread", [0.0, 0.3])
def test_95_of_100_intervals_hold_the_truth_whether_or_not_prompts_differ(spread: float) -> None:
    # 40 prompts of 5 pairs, each prompt with a chance of 0.7 ± spread: the truth is 0.7. Of 400 draws 380 ± 9 are
    # expected to hold it (two standard errors); without the design effect about 310 would at a spread of 0.3.
    rng = np.random.default_rng(1)
    prompts = np.repeat(np.arange(40), 5)
    held = 0
    for _ in range(400):
        chances = 0.7 + spread * rng.choice([-1, 1], size=40)
        values = (rng.random(200) < chances[prompts]).astype(float)
        _, low, high = share(values, prompts)
        assert low is not None
        assert high is not None
        held += low <= 0.7 <= high
    assert held == pytest.approx(380, abs=14)


def test_a_difference_has_the_bootstraps_interval_by_prompt() -> None:
    # 100 prompts, 60 with a gain of 1 and 40 with none, each twice: the mean is 0.6 and its standard error that of 100
    # trials, sqrt(0.24 / 100) = 0.049, not of 200. Percentiles at ±1.96 of it.
    gains = np.repeat(np.array([1.0] * 60 + [0.0] * 40), 2)
    found = difference(gains, np.zeros(200), np.repeat(np.arange(100), 2), seed=0)
    assert found["difference"] == pytest.approx(0.6)
    assert found["low"] == pytest.approx(0.6 - 1.96 * 0.049, abs=0.015)
    assert found["high"] == pytest.approx(0.6 + 1.96 * 0.049, abs=0.015)


def test_a_difference_is_the_same_whenever_it_is_drawn() -> None:
    values, prompts = np.tile([1.0, 0.0], 10), np.arange(20)
    one = difference(values, 1 - values, prompts, seed=3)
    assert one == difference(values, 1 - values, prompts, seed=3)
    assert one != difference(values, 1 - values, prompts, seed=4)


def test_of_fewer_than_ten_prompts_no_bounds_are_claimed() -> None:
    found = difference(np.ones(9), np.zeros(9), np.arange(9), seed=0)
    assert found == {"difference": 1.0, "low": None, "high": None}
