"""What several reward models say of one pair together."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation.core.allocation import RANKS
from training.core.disagreement import Rewards, at_odds, rank_of_pair

SURE_OF_A, SURE_OF_B, CANNOT_TELL = Rewards(9.0, -9.0), Rewards(-9.0, 9.0), Rewards(1.5, 1.5)
SOME = st.lists(
    st.builds(Rewards, st.floats(-50, 50, allow_nan=False), st.floats(-50, 50, allow_nan=False)),
    min_size=1,
    max_size=2,
)


@pytest.mark.parametrize(
    ("rewards", "are"),
    [
        ([SURE_OF_A], False),
        ([SURE_OF_A, SURE_OF_A], False),
        ([SURE_OF_A, SURE_OF_B], True),
        ([SURE_OF_B, Rewards(0.1, 0.0)], True),
        ([SURE_OF_A, CANNOT_TELL], False),  # who cannot tell goes against nobody
    ],
)
def test_models_are_at_odds_where_they_prefer_different_responses(rewards: list[Rewards], are: bool) -> None:
    assert at_odds(rewards) is are


def test_the_order_is_at_odds_then_doubted_then_sure() -> None:
    # tanh(9) is 1 within 4e-8, so a sure model's doubt rounds to 0 and its rank to 1000; no doubt at all is 0.
    ranks = [
        rank_of_pair(rewards)
        for rewards in ([Rewards(1, 0), Rewards(0, 1)], [SURE_OF_A, SURE_OF_B], [CANNOT_TELL], [SURE_OF_A])
    ]
    # tanh(1/2) is 0.4621.
    assert ranks == [462 - 1000, 0, 0, 1000]


@given(SOME)
def test_a_rank_fits_the_queue_and_does_not_know_a_from_b(rewards: list[Rewards]) -> None:
    rank = rank_of_pair(rewards)
    assert -RANKS <= rank <= RANKS
    assert rank_of_pair([Rewards(own.b, own.a) for own in rewards]) == rank
