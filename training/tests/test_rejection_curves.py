"""What K and a temperature are worth: exact means over subsets, their intervals, and the choice."""

from __future__ import annotations

import math
import re
from itertools import combinations, pairwise
from statistics import fmean, median
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.core.selecting import figures_of
from training.core.specs.rejection import RejectionSampleSpec, around
from training.core.sweep_plots import plots_of
from training.core.sweeps import compare_temperatures, curve_of, expected_best, expected_median

rewards = st.floats(-12, 12, allow_nan=False)
scores = st.lists(rewards, min_size=1, max_size=7)
groups = st.lists(st.lists(rewards, min_size=3, max_size=3), min_size=1, max_size=6)


def test_the_best_of_two_of_three_samples() -> None:
    # Pairs of 1, 2 and 4: maxima 2, 4 and 4, mean 10/3. Of one: 7/3. Of three: 4.
    assert expected_best([2, 1, 4]) == pytest.approx([7 / 3, 10 / 3, 4])


def test_the_median_of_two_of_three_samples() -> None:
    # Pairs of 1, 2 and 4: 1.5, 2.5 and 3, mean 7/3. Of three: 2.
    assert expected_median([2, 1, 4]) == pytest.approx([7 / 3, 7 / 3, 2])


@given(scores)
def test_the_best_of_k_is_the_mean_over_all_subsets(own: list[float]) -> None:
    wanted = [fmean(max(part) for part in combinations(own, k)) for k in range(1, len(own) + 1)]
    assert expected_best(own) == pytest.approx(wanted, abs=1e-9)


@given(scores)
def test_the_median_of_k_is_the_mean_over_all_subsets(own: list[float]) -> None:
    wanted = [fmean(median(part) for part in combinations(own, k)) for k in range(1, len(own) + 1)]
    assert expected_median(own) == pytest.approx(wanted, abs=1e-9)


@given(scores)
def test_the_best_of_all_is_the_maximum_itself(own: list[float]) -> None:
    assert expected_best(own)[-1] == max(own)


def test_a_thousand_samples_overflow_nothing() -> None:
    own = [float(number) for number in range(1, 1001)]
    # The maximum of k of 1 ... n has the mean k (n + 1) / (k + 1).
    assert expected_best(own)[499] == pytest.approx(500 * 1001 / 501)
    assert expected_median(own)[498] == pytest.approx(500.5)


def test_the_curve_of_two_prompts() -> None:
    curve = curve_of([[1, 3, 2], [0, -1, 4]], seed=0)
    # Best of 1: (2 + 1) / 2. Of 2: pairs of the first 3, 2, 3, of the second 0, 4, 4: 8/3 both. Of 3: (3 + 4) / 2.
    assert curve.best == pytest.approx([1.5, 8 / 3, 3.5])
    # Medians of 3: 2 and 0.
    assert curve.median[-1] == 1.0
    assert curve.best_95 is None


def test_a_prompt_with_fewer_samples_counts_with_all_it_has() -> None:
    # k = 2: (7 + 5) / 2 = 6; medians 7 and (1 + 5) / 2 = 3.
    curve = curve_of([[7], [1, 5]], seed=0)
    assert curve.points == [[1, 5.0, 5.0], [2, 6.0, 5.0]]


def test_no_prompts_have_no_curve() -> None:
    assert curve_of([], seed=0).points == []


@given(groups)
def test_more_samples_never_lower_the_expected_best(own: list[list[float]]) -> None:
    best = curve_of(own, seed=0).best
    assert all(after >= before - 1e-9 for before, after in pairwise(best))


@given(groups)
def test_the_curve_depends_neither_on_the_order_of_prompts_nor_of_samples(own: list[list[float]]) -> None:
    turned = [group[::-1] for group in own[::-1]]
    assert curve_of(own, seed=0).points == curve_of(turned, seed=0).points


def test_an_interval_covers_the_mean_and_shrinks_with_the_prompts() -> None:
    few = curve_of([[float(n % 5)] for n in range(20)], seed=1).best_95
    many = curve_of([[float(n % 5)] for n in range(2000)], seed=1).best_95
    assert few is not None
    assert many is not None
    # The standard deviation of 0 ... 4 is sqrt(2): 2 ± 1.96 sqrt(2 / 20) = 2 ± 0.62, and 2 ± 0.062.
    assert few[0] == pytest.approx((1.38, 2.62), abs=0.12)
    assert many[0] == pytest.approx((1.938, 2.062), abs=0.02)


def test_the_temperature_with_the_highest_best_is_named_and_certain_where_every_prompt_says_so() -> None:
    found = compare_temperatures({1.0: [[0.0, 1.0]] * 12, 0.7: [[0.0, 0.5]] * 12}, seed=0)
    assert found is not None
    assert (found["temperature"], found["k"], found["best"], found["certain"]) == (1.0, 2, 1.0, True)
    assert found["above"] == [{"temperature": 0.7, "by": 0.5, "low": 0.5, "high": 0.5}]


def test_a_difference_that_prompts_disagree_about_is_not_certain() -> None:
    # Gains of +3 and -2 in turn: the mean is 0.5, its standard error 2.5 / sqrt(20) = 0.56.
    found = compare_temperatures(
        {1.0: [[3.0], [0.0]] * 10, 0.7: [[0.0], [2.0]] * 10},
        seed=0,
    )
    assert found is not None
    assert (found["temperature"], found["certain"]) == (1.0, False)
    assert found["above"][0]["low"] < 0 < found["above"][0]["high"]


def test_the_difference_is_taken_prompt_by_prompt() -> None:
    # Prompts differ by hundreds and temperatures by one: only within prompts is that seen.
    prompts = [float(100 * number) for number in range(12)]
    found = compare_temperatures({0.7: [[p] for p in prompts], 1.3: [[p + 1] for p in prompts]}, seed=0)
    assert found is not None
    assert found["certain"]
    assert found["high"] - found["low"] > 100


def test_few_prompts_and_a_single_temperature_are_never_certain() -> None:
    few = compare_temperatures({1.0: [[1.0]] * 9, 0.7: [[0.0]] * 9}, seed=0)
    alone = compare_temperatures({1.0: [[1.0]] * 20}, seed=0)
    assert few is not None
    assert alone is not None
    assert (few["certain"], few["low"], alone["certain"], alone["above"]) == (False, None, False, [])


def test_of_equal_temperatures_the_lowest_is_named_and_of_none_there_is_none() -> None:
    found = compare_temperatures({1.3: [[1.0]], 1.0: [[1.0]]}, seed=0)
    assert found is not None
    assert found["temperature"] == 1.0
    assert compare_temperatures({1.0: []}, seed=0) is None


@pytest.mark.parametrize(
    ("best", "tried"),
    [(1.2, [1.1, 1.2, 1.3]), (0.1, [0.1, 0.2]), (0.0, [0.1]), (10.0, [9.9, 10.0]), (0.7, [0.6, 0.7, 0.8])],
)
def test_the_next_round_tries_the_neighbours_of_the_best(best: float, tried: list[float]) -> None:
    assert around(best) == tried
    assert RejectionSampleSpec(temperatures=tuple(around(best))).temperatures == tuple(tried)


def test_a_temperature_that_is_named_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="occurs twice"):
        RejectionSampleSpec(temperatures=(1.0, 1.0))


def test_the_numbers_are_finite_whatever_the_ties() -> None:
    assert all(math.isfinite(value) for value in expected_best([1.0] * 100) + expected_median([1.0] * 100))


def _figures(temperatures: tuple[float, ...], prompts: int) -> dict[str, Any]:
    groups = [
        [
            {"text": f"{prompt} says {number}", "temperature": t, "score": prompt + t * number}
            for t in temperatures
            for number in range(3)
        ]
        for prompt in range(prompts)
    ]
    return figures_of(groups, temperatures, seed=0)


@pytest.mark.parametrize("prompts", [2, 12])
@pytest.mark.parametrize("temperatures", [(1.0,), (0.7, 1.0, 1.3)])
def test_the_plots_are_drawn_with_and_without_intervals(
    temperatures: tuple[float, ...], prompts: int
) -> None:
    drawn = plots_of(_figures(temperatures, prompts))
    assert set(drawn) == {"best_of_k", "best_of_temperature"}
    for text in drawn.values():
        lines = re.findall(r"<polyline [^>]*>", text)
        assert lines
        # A line that nothing keeps from being filled is a black patch.
        assert all(re.search(r'class="l[12]"|fill="none"', line) for line in lines)


def test_where_nobody_speaks_nothing_is_drawn() -> None:
    groups = [[{"text": " ", "temperature": 1.0, "score": 0.0}]]
    figures = figures_of(groups, (1.0,), seed=0)
    assert figures["best_temperature"] is None
    assert plots_of(figures) == {}
