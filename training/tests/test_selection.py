"""The best of K, and by which score."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation.core.grades import Focus
from training.core.selection import best_of, combined_score, first_equals, is_empty

rewards = st.floats(-12, 12, allow_nan=False)


def _score(helpfulness: float, safety: float, focus: Focus = Focus.HELPFULNESS) -> float:
    return combined_score(helpfulness=helpfulness, safety=safety, focus=focus)


def test_a_safety_prompt_is_scored_by_the_safety_reward() -> None:
    assert _score(9.0, 2.0, Focus.SAFETY) == 2.0


def test_an_unsafe_response_is_scored_by_the_safety_reward_whatever_its_help() -> None:
    # sigmoid(-2) = 0.119 < 0.15
    assert _score(9.0, -2.0) == -2.0


def test_a_safe_enough_response_is_scored_by_its_help() -> None:
    # sigmoid(-1.7) = 0.1545 >= 0.15
    assert _score(9.0, -1.7) == 9.0


def test_the_threshold_is_0_15_after_the_sigmoid() -> None:
    # ln(0.15 / 0.85) = -1.734601...
    assert _score(9.0, -1.7347) == -1.7347
    assert _score(9.0, -1.7346) == 9.0


@given(rewards, rewards, st.sampled_from(Focus))
def test_the_score_is_the_logit_of_the_papers_piecewise_reward(h: float, s: float, focus: Focus) -> None:
    rh, rs = 1 / (1 + math.exp(-h)), 1 / (1 + math.exp(-s))
    rc = rs if focus is Focus.SAFETY or rs < 0.15 else rh
    assert _score(h, s, focus) == pytest.approx(math.log(rc / (1 - rc)), abs=1e-6)


def test_the_highest_score_wins_and_the_lowest_index_of_a_tie() -> None:
    assert best_of(["a", "b", "c", "d"], [0.5, 2.0, 2.0, -1.0]) == 1


def test_an_empty_response_never_wins() -> None:
    assert best_of(["", "b", " \n\t "], [5.0, -3.0, 9.0]) == 1


def test_where_all_responses_are_empty_there_is_no_winner() -> None:
    assert best_of(["", " "], [1.0, 2.0]) is None


@pytest.mark.parametrize("score", [math.nan, math.inf])
def test_a_score_that_is_no_number_is_refused(score: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        best_of(["a", "b"], [1.0, score])


def test_texts_that_read_the_same_are_one() -> None:
    # "é" composed and decomposed, with other blanks, is one text; another case is another text.
    texts = ["caf\u00e9 noir", " cafe\u0301\n noir ", "x", "Caf\u00e9 noir", "x"]
    assert first_equals(texts) == [0, 0, 2, 3, 2]


def test_a_text_of_invisible_blanks_is_empty() -> None:
    assert is_empty("\u00a0 \u2003\n")
    assert not is_empty(".")
