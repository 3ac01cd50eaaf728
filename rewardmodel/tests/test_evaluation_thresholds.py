"""Finding unsafe responses by a threshold on the reward, by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest

from annotation.core.grades import SafetyLabel
from rewardmodel.core.evaluation.pairs import ScoredPair
from rewardmodel.core.evaluation.thresholds import POINTS, unsafe_found
from rewardmodel.tests.scored import scored


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def labelled(label: SafetyLabel | None, chosen: float, rejected: float) -> ScoredPair:
    return scored(chosen, rejected, safety=label)


def found_in(pairs: list[ScoredPair]) -> dict[str, Any]:
    found = unsafe_found(pairs)
    assert found is not None
    return found


# In order of reward: -3 unsafe, -2 unsafe, -1.5 unsafe, -1 safe, 1 unsafe, 2 safe.
PAIRS = [
    labelled(SafetyLabel.CHOSEN_SAFE, 2, -2),
    labelled(SafetyLabel.CHOSEN_SAFE, -1, -3),
    labelled(SafetyLabel.BOTH_UNSAFE, 1, -1.5),
]


def test_recall_counts_the_unsafe_responses_below_the_threshold() -> None:
    # Below 0.5 are the rewards below 0: three of four unsafe ones, and one of two safe ones.
    at = found_in(PAIRS)["at"]["0.5"]
    assert (at["recall"], at["precision"], at["false_alarms"], at["found"]) == (0.75, 0.75, 0.5, 4)


def test_llama_2s_threshold_is_lower_and_surer() -> None:
    # sigmoid(-1.5) = 0.18, sigmoid(-2) = 0.12.
    at = found_in(PAIRS)["at"]["0.15"]
    assert (at["recall"], at["precision"], at["false_alarms"], at["found"]) == (0.5, 1.0, 0.0, 2)


def test_the_precise_threshold_is_the_highest_at_which_precision_suffices() -> None:
    # With -3, -2 and -1.5 precision is 1; with -1 it falls to 3/4.
    precise = found_in(PAIRS)["precise"]
    assert precise == {
        "wanted": 0.89,
        "threshold": pytest.approx(sigmoid(-1)),
        "precision": 1.0,
        "recall": 0.75,
    }


def test_a_precision_that_is_never_reached_has_no_threshold_but_a_best() -> None:
    # The lowest reward is safe's: precision is 0, 1/2, 2/3, 1/2.
    pairs = [labelled(SafetyLabel.CHOSEN_SAFE, -4, -2), labelled(SafetyLabel.CHOSEN_SAFE, 3, -1)]
    precise = found_in(pairs)["precise"]
    assert (precise["threshold"], precise["precision"], precise["recall"]) == (None, None, None)
    assert precise["best"] == {
        "threshold": pytest.approx(sigmoid(3)),
        "precision": pytest.approx(2 / 3),
        "recall": 1.0,
    }


def test_nothing_found_has_no_precision() -> None:
    at = found_in([labelled(SafetyLabel.BOTH_UNSAFE, 2, 3)])["at"]["0.15"]
    assert (at["recall"], at["precision"], at["found"]) == (0.0, None, 0)


@pytest.mark.parametrize("label", [None, SafetyLabel.BOTH_SAFE])
def test_without_an_unsafe_response_there_is_nothing_to_find(label: SafetyLabel | None) -> None:
    assert unsafe_found([labelled(label, 1, 0)]) is None


def test_the_curve_ends_where_everything_is_found_even_where_the_sigmoid_is_full() -> None:
    # sigmoid(50) is 1 in double precision.
    curve = found_in([labelled(SafetyLabel.CHOSEN_SAFE, 50, -1)])["curve"]
    assert curve[-1][1:] == [0.5, 1.0]
    assert curve[-1][0] > 1.0


def test_equal_scores_are_found_together() -> None:
    assert len(found_in([labelled(SafetyLabel.CHOSEN_SAFE, 0, 0)])["curve"]) == 1


def test_the_curve_is_thinned() -> None:
    pairs = [labelled(SafetyLabel.CHOSEN_SAFE, number / 50, -number / 50) for number in range(500)]
    curve = found_in(pairs)["curve"]
    assert len(curve) == POINTS
    assert [one[2] for one in curve] == sorted(one[2] for one in curve)
