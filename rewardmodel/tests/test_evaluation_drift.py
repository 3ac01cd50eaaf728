"""How far a version has moved from an earlier one, by hand."""

from __future__ import annotations

import pytest

from rewardmodel.core.evaluation.drift import drift
from rewardmodel.core.evaluation.pairs import ScoredPair
from rewardmodel.tests.examples import make_record

RECORDS = [make_record(number) for number in range(4)]
BEFORE = [(1.0, 0.0), (2.0, 1.0), (0.0, 3.0), (5.0, 4.0)]


def scored(rewards: list[tuple[float, float]]) -> list[ScoredPair]:
    return [ScoredPair(record, *pair) for record, pair in zip(RECORDS, rewards, strict=True)]


def test_a_model_has_not_moved_from_itself() -> None:
    found = drift(scored(BEFORE), scored(BEFORE))
    assert found["correlation"] == pytest.approx(1)
    assert found["rank_correlation"] == pytest.approx(1)
    assert (found["mean_shift"], found["spread_ratio"], found["flips"]) == (0, 1, 0)
    assert (found["gained"], found["lost"], found["accuracy_change"]) == (0, 0, 0)


def test_a_scale_and_a_shift_flip_nothing() -> None:
    # 2 r + 3: the mean of the eight rewards is 2, so that it moves to 7.
    now = [(2 * chosen + 3, 2 * rejected + 3) for chosen, rejected in BEFORE]
    found = drift(scored(now), scored(BEFORE))
    assert found["mean_shift"] == pytest.approx(5)
    assert found["spread_ratio"] == pytest.approx(2)
    assert found["correlation"] == pytest.approx(1)
    assert found["flips"] == 0


def test_flips_are_told_with_what_they_brought() -> None:
    # The first pair is lost and the third gained, of four.
    now = [(0.0, 1.0), (2.0, 1.0), (3.0, 0.0), (5.0, 4.0)]
    found = drift(scored(now), scored(BEFORE))
    assert found["flips"] == 0.5
    assert (found["gained"], found["lost"], found["accuracy_change"]) == (1, 1, 0)
    assert found["low"] < 0.5 < found["high"]


def test_only_pairs_that_both_scored_are_compared() -> None:
    found = drift(scored(BEFORE)[:3], scored(BEFORE)[1:])
    assert (found["pairs"], found["only_now"], found["only_before"]) == (2, 1, 1)


def test_the_order_does_not_matter() -> None:
    assert drift(scored(BEFORE)[::-1], scored(BEFORE)) == drift(scored(BEFORE), scored(BEFORE))


def test_nothing_in_common_is_no_error() -> None:
    found = drift([], scored(BEFORE))
    assert found["pairs"] == 0
    assert (found["correlation"], found["mean_shift"], found["flips"]) == (None, None, None)


def test_a_model_that_says_the_same_of_everything_correlates_with_nothing() -> None:
    found = drift(scored(BEFORE), scored([(1.0, 1.0)] * 4))
    assert (found["correlation"], found["rank_correlation"], found["spread_ratio"]) == (None, None, None)
    # A tie against a preference is half a flip.
    assert found["flips"] == 0.5


def test_equal_rewards_share_a_rank() -> None:
    # Ranks before: 1.5, 1.5, 3, 4; now 1, 2, 3, 4. Deviations -1 -1 .5 1.5 against -1.5 -.5 .5 1.5:
    # 4.5 / sqrt(4.5 · 5) = 0.94868.
    records = RECORDS[:2]
    before = [ScoredPair(records[0], 0.0, 1.0), ScoredPair(records[1], 0.0, 2.0)]
    now = [ScoredPair(records[0], 0.0, 2.0), ScoredPair(records[1], 1.0, 3.0)]
    assert drift(now, before)["rank_correlation"] == pytest.approx(0.948683, abs=1e-6)
