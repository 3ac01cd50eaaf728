"""Attention checks: what is right, when one is due, and what several say of a person."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation.core.aggregate import Vote
from annotation.core.attention import (
    GoldAnswer,
    GoldPart,
    GoldWatch,
    StandingState,
    draws_gold,
    pick_gold,
    score_gold,
    standing_of,
    unanimous,
)
from annotation.core.grades import Choice, Grade, SafetyLabel

A, B = Choice.A, Choice.B
SIGNIFICANTLY, BETTER, SLIGHTLY, NEGLIGIBLY = Grade
CHOSEN_SAFE, BOTH_SAFE, BOTH_UNSAFE = SafetyLabel
CHOICE, GRADE, SAFETY = GoldPart

VOTES = st.builds(
    Vote,
    choice=st.sampled_from(Choice),
    grade=st.none() | st.sampled_from(Grade),
    safety=st.none() | st.sampled_from(SafetyLabel),
)
RATES = st.floats(0.02, 0.5)


def test_the_same_answer_is_right() -> None:
    mark = score_gold(Vote(A, BETTER, BOTH_SAFE), GoldAnswer(A, BETTER, BOTH_SAFE, tolerance=0))
    assert (mark.right, mark.off, mark.steps) == (True, (), 0)


@pytest.mark.parametrize(
    ("grade", "tolerance", "off"),
    [
        (SIGNIFICANTLY, 1, ()),
        (SLIGHTLY, 1, ()),
        (NEGLIGIBLY, 1, (GRADE,)),
        (NEGLIGIBLY, 2, ()),
        (SLIGHTLY, 0, (GRADE,)),
    ],
)
def test_a_grade_may_be_off_by_the_tolerance(grade: Grade, tolerance: int, off: tuple[GoldPart, ...]) -> None:
    assert score_gold(Vote(A, grade), GoldAnswer(A, BETTER, tolerance=tolerance)).off == off


def test_any_strength_and_any_label_is_right_where_gold_states_none() -> None:
    mark = score_gold(Vote(A, NEGLIGIBLY, BOTH_UNSAFE), GoldAnswer(A))
    assert (mark.right, mark.steps) == (True, None)


def test_a_wrong_choice_is_wrong_however_near_it_lies() -> None:
    # A by a hair is step 3, B by a hair step 4.
    mark = score_gold(Vote(B, NEGLIGIBLY), GoldAnswer(A, NEGLIGIBLY, tolerance=1))
    assert (mark.off, mark.steps) == ((CHOICE,), 1)


def test_the_grade_of_a_wrong_choice_is_not_held_against_it_too() -> None:
    mark = score_gold(Vote(B, SIGNIFICANTLY), GoldAnswer(A, SIGNIFICANTLY))
    assert (mark.off, mark.steps) == ((CHOICE,), 7)


def test_a_grade_that_is_wanted_and_missing_is_off() -> None:
    assert score_gold(Vote(A), GoldAnswer(A, BETTER)).off == (GRADE,)


@pytest.mark.parametrize(
    ("answer", "label", "off"),
    [
        (Vote(A, None, BOTH_UNSAFE), BOTH_SAFE, (SAFETY,)),
        (Vote(A, None, None), BOTH_SAFE, (SAFETY,)),
        (Vote(B, None, BOTH_SAFE), BOTH_SAFE, (CHOICE,)),  # of both responses, whichever was chosen
        (Vote(B, None, CHOSEN_SAFE), CHOSEN_SAFE, (CHOICE, SAFETY)),  # says that the other one is safe
    ],
)
def test_a_label_must_say_the_same_of_both_responses(
    answer: Vote, label: SafetyLabel, off: tuple[GoldPart, ...]
) -> None:
    assert score_gold(answer, GoldAnswer(A, safety=label)).off == off


@given(VOTES, st.integers(0, 7))
def test_whatever_is_gold_repeating_it_is_right(vote: Vote, tolerance: int) -> None:
    gold = GoldAnswer(vote.choice, vote.grade, vote.safety, tolerance)
    assert score_gold(vote, gold).right


@pytest.mark.parametrize(
    ("right", "of", "state"),
    [
        (0, 7, StandingState.OK),  # too few to say
        (3, 8, StandingState.PAUSED),
        (4, 8, StandingState.WARNED),  # half is not below a half
        (5, 8, StandingState.WARNED),
        (6, 8, StandingState.OK),
        (0, 0, StandingState.OK),
    ],
)
def test_a_share_below_the_bars_warns_and_pauses(right: int, of: int, state: StandingState) -> None:
    standing = standing_of([True] * right + [False] * (of - right), GoldWatch())
    assert (standing.state, standing.count) == (state, of)


def test_only_the_latest_marks_count() -> None:
    standing = standing_of([False] * 30 + [True] * 20, GoldWatch())
    assert (standing.state, standing.share, standing.count) == (StandingState.OK, 1.0, 20)


@pytest.mark.parametrize(
    "numbers",
    [
        {"fewest": 0},
        {"fewest": 21},
        {"pause_below": 0.8},
        {"warn_below": 1.1},
        {"pause_below": -0.1},
    ],
)
def test_a_watch_that_could_not_work_is_refused(numbers: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"window|shares"):
        GoldWatch(**numbers)  # type: ignore[arg-type]


def below(share: float, marks: int, rate: float) -> float:
    """P(right / marks < share) for somebody who is right at `rate`."""
    return sum(
        comb(marks, k) * rate**k * (1 - rate) ** (marks - k) for k in range(marks + 1) if k / marks < share
    )


def ever(rate: float, states: Sequence[StandingState]) -> float:
    """The exact probability of being in one of `states` at some time during the first 20 marks."""
    alive, reached = {0: 1.0}, 0.0
    for marks in range(1, 21):
        following: dict[int, float] = {}
        for right, chance in alive.items():
            following[right] = following.get(right, 0.0) + chance * (1 - rate)
            following[right + 1] = following.get(right + 1, 0.0) + chance * rate
        for right in list(following):
            if standing_of([True] * right + [False] * (marks - right), GoldWatch()).state in states:
                reached += following.pop(right)
        alive = following
    return reached


def test_somebody_careful_is_hardly_ever_paused() -> None:
    chances = {marks: below(0.5, marks, 0.9) for marks in range(8, 21)}
    assert max(chances, key=chances.__getitem__) == 9
    assert chances[9] == pytest.approx(0.0009, abs=5e-5)
    assert chances[20] == pytest.approx(7e-7, abs=5e-8)
    assert ever(0.9, [StandingState.PAUSED]) == pytest.approx(0.0010, abs=5e-5)


def test_somebody_careful_may_be_warned_and_who_guesses_is_paused() -> None:
    assert ever(0.9, [StandingState.WARNED, StandingState.PAUSED]) == pytest.approx(0.11, abs=5e-3)
    assert ever(0.5, [StandingState.PAUSED]) == pytest.approx(0.68, abs=5e-3)
    assert ever(0.3, [StandingState.PAUSED]) == pytest.approx(0.98, abs=5e-3)


def places(seed: int, annotator: str, rate: float, pairs: int) -> list[int]:
    drawn = (draws_gold(seed=seed, annotator=annotator, ordinal=n, rate=rate) for n in range(pairs))
    return [n for n, is_gold in enumerate(drawn) if is_gold]


@given(st.integers(), st.text(max_size=8), RATES)
def test_each_block_has_exactly_one_check(seed: int, annotator: str, rate: float) -> None:
    size = round(1 / rate)
    drawn = places(seed, annotator, rate, 20 * size)
    assert [place // size for place in drawn] == list(range(20))


@given(st.integers(), st.text(max_size=8), RATES)
def test_two_checks_never_follow_each_other(seed: int, annotator: str, rate: float) -> None:
    drawn = places(seed, annotator, rate, 30 * round(1 / rate))
    assert all(later - earlier > 1 for earlier, later in pairwise(drawn))


@pytest.mark.parametrize("size", [3, 10])
def test_every_place_of_a_block_is_about_as_likely(size: int) -> None:
    drawn = places(1, "ada", 1 / size, 3000 * size)
    counts = [sum(place % size == k for place in drawn) for k in range(size)]
    # A block gives up its first place where that would stand beside the check before: once in size² blocks.
    expected = 3000 / size * (1 - 1 / size)
    assert min(counts) > expected - 4 * expected**0.5
    assert max(counts) < 3000 / size * 1.25 + 4 * (3000 / size) ** 0.5


def test_everybody_has_other_places_and_each_seed_too() -> None:
    drawn = {(who, seed): tuple(places(seed, who, 0.1, 200)) for who in ("ada", "ben") for seed in (1, 2)}
    assert len(set(drawn.values())) == 4


def test_without_a_rate_there_is_no_check() -> None:
    assert places(1, "ada", 0.0, 100) == []


@pytest.mark.parametrize(("ordinal", "rate"), [(-1, 0.1), (0, 0.51), (0, -0.1), (0, float("nan"))])
def test_an_impossible_draw_is_refused(ordinal: int, rate: float) -> None:
    with pytest.raises(ValueError, match=r"ordinal|rate"):
        draws_gold(seed=1, annotator="ada", ordinal=ordinal, rate=rate)


KEYS = [f"key{n}" for n in range(30)]


def order_of(annotator: str, seed: int = 1) -> list[str]:
    left, order = set(KEYS), []
    while (key := pick_gold(seed=seed, annotator=annotator, candidates=left)) is not None:
        order.append(key)
        left.remove(key)
    return order


def test_everybody_meets_every_check_once_and_in_an_order_of_their_own() -> None:
    ada, ben = order_of("ada"), order_of("ben")
    assert sorted(ada) == sorted(ben) == sorted(KEYS)
    assert ada != ben != order_of("ben", seed=2)


@given(st.permutations(KEYS))
def test_the_pick_does_not_depend_on_the_order_of_candidates(keys: list[str]) -> None:
    assert pick_gold(seed=1, annotator="ada", candidates=keys) == order_of("ada")[0]


@pytest.mark.parametrize(
    ("votes", "label"),
    [
        ([Vote(A, BETTER)] * 3, Vote(A, BETTER)),
        ([Vote(A, SIGNIFICANTLY), Vote(A, BETTER), Vote(A, SIGNIFICANTLY)], Vote(A, SIGNIFICANTLY)),
        ([Vote(B, BETTER, BOTH_SAFE)] * 3, Vote(B, BETTER, BOTH_SAFE)),
        ([Vote(B)] * 3, Vote(B)),  # imported, without any strength
        ([Vote(A, BETTER)] * 2, None),  # too few
        ([Vote(A, BETTER), Vote(A, BETTER), Vote(B, BETTER)], None),
        ([Vote(A, BETTER), Vote(A, BETTER), Vote(A, SLIGHTLY)], None),  # somebody found it close
        ([Vote(A, BETTER, BOTH_SAFE), *[Vote(A, BETTER, CHOSEN_SAFE)] * 2], None),
        ([Vote(A, BETTER, BOTH_SAFE), *[Vote(A, BETTER)] * 2], None),
        ([], None),
    ],
)
def test_only_what_all_saw_clearly_and_alike_becomes_gold(votes: list[Vote], label: Vote | None) -> None:
    assert unanimous(votes) == label


@given(st.lists(VOTES, max_size=5))
def test_everybody_who_made_a_pair_gold_is_right_about_it(votes: list[Vote]) -> None:
    label = unanimous(votes)
    if label is not None:
        gold = GoldAnswer(label.choice, label.grade, label.safety)
        assert all(score_gold(vote, gold).right for vote in votes if vote.grade is not None)
        assert all(score_gold(vote, gold).off in ((), (GRADE,)) for vote in votes)
