"""Several people's votes on one comparison become one row."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation.core.aggregate import Outcome, Vote, majority
from annotation.core.grades import Choice, Grade, SafetyLabel

A, B = Choice.A, Choice.B
SIGNIFICANTLY, BETTER, SLIGHTLY, NEGLIGIBLY = Grade
CHOSEN_SAFE, BOTH_SAFE, BOTH_UNSAFE = SafetyLabel

VOTES = st.builds(
    Vote,
    choice=st.sampled_from(Choice),
    grade=st.none() | st.sampled_from(Grade),
    safety=st.none() | st.sampled_from(SafetyLabel),
)


def votes(*choices: Choice) -> list[Vote]:
    return [Vote(choice) for choice in choices]


def grade_of(*grades: Grade | None) -> Grade | None:
    outcome = majority([Vote(A, grade) for grade in grades])
    assert outcome is not None
    return outcome.grade


def label_of(*labels: SafetyLabel | None) -> SafetyLabel | None:
    outcome = majority([Vote(A, None, label) for label in labels])
    assert outcome is not None
    return outcome.safety


def test_more_than_half_decide_and_their_share_is_the_weight() -> None:
    outcome = majority(votes(A, B, B))
    assert outcome == Outcome(choice=B, grade=None, safety=None, weight=2 / 3)


@pytest.mark.parametrize("choices", [(), (A, B), (A, B, B, A)])
def test_an_even_split_gives_no_row(choices: tuple[Choice, ...]) -> None:
    assert majority(votes(*choices)) is None


@pytest.mark.parametrize(
    ("grades", "middle"),
    [
        ((SIGNIFICANTLY, SLIGHTLY, BETTER), BETTER),
        ((SIGNIFICANTLY, BETTER), BETTER),  # of two middle ones the weaker
        ((NEGLIGIBLY, SIGNIFICANTLY), NEGLIGIBLY),
        ((SIGNIFICANTLY, SIGNIFICANTLY, SLIGHTLY, NEGLIGIBLY), SLIGHTLY),
        ((None, SLIGHTLY, None), SLIGHTLY),  # those without a grade do not pull it down
        ((None, None), None),
    ],
)
def test_the_grade_is_the_lower_median(grades: tuple[Grade | None, ...], middle: Grade | None) -> None:
    assert grade_of(*grades) is middle


def test_grade_and_label_come_from_those_who_agree() -> None:
    outcome = majority(
        [Vote(A, SLIGHTLY, BOTH_SAFE), Vote(A, SLIGHTLY, BOTH_SAFE), Vote(B, SIGNIFICANTLY, BOTH_UNSAFE)]
    )
    assert outcome == Outcome(choice=A, grade=SLIGHTLY, safety=BOTH_SAFE, weight=2 / 3)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ((BOTH_SAFE, BOTH_SAFE, BOTH_UNSAFE), BOTH_SAFE),
        ((BOTH_SAFE, BOTH_UNSAFE), BOTH_UNSAFE),  # equally frequent: the more unsafe responses
        ((BOTH_SAFE, CHOSEN_SAFE), CHOSEN_SAFE),
        ((BOTH_SAFE, CHOSEN_SAFE, BOTH_UNSAFE), BOTH_UNSAFE),
        ((None, BOTH_SAFE, None), BOTH_SAFE),
        ((None,), None),
    ],
)
def test_the_label_is_the_most_frequent_and_the_cautious_one_of_equals(
    labels: tuple[SafetyLabel | None, ...], expected: SafetyLabel | None
) -> None:
    assert label_of(*labels) is expected


@given(VOTES)
def test_a_single_vote_is_itself(vote: Vote) -> None:
    assert majority([vote]) == Outcome(vote.choice, vote.grade, vote.safety, weight=1.0)


@given(st.lists(VOTES, max_size=7).flatmap(lambda v: st.tuples(st.just(v), st.permutations(v))))
def test_the_order_of_votes_does_not_matter(pair: tuple[list[Vote], list[Vote]]) -> None:
    given_order, shuffled = pair
    assert majority(given_order) == majority(shuffled)


@given(st.lists(VOTES, max_size=7))
def test_exchanging_a_and_b_exchanges_the_choice_alone(given_votes: list[Vote]) -> None:
    straight = majority(given_votes)
    swapped = majority([Vote(v.choice.other, v.grade, v.safety) for v in given_votes])
    if straight is None:
        assert swapped is None
    else:
        assert swapped == Outcome(
            straight.choice.other, straight.grade, straight.safety, weight=straight.weight
        )


@given(st.lists(VOTES, min_size=1, max_size=7))
def test_an_outcome_repeats_what_somebody_who_agrees_said(given_votes: list[Vote]) -> None:
    outcome = majority(given_votes)
    if outcome is None:
        return
    agreeing = [v for v in given_votes if v.choice is outcome.choice]
    assert outcome.weight == float(Fraction(len(agreeing), len(given_votes))) > 0.5
    assert outcome.grade in {v.grade for v in agreeing} or any(v.grade is None for v in agreeing)
    assert (outcome.grade is None) is all(v.grade is None for v in agreeing)
    assert (outcome.safety is None) is all(v.safety is None for v in agreeing)
