"""Several people's votes on one comparison become one row."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation.core.aggregate import AggregationRule, Outcome, Vote, majority, outcomes
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


EACH, MAJORITY, ADJUDICATED, DAWID_SKENE = AggregationRule


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
    assert outcome == Outcome(choice=B, grade=None, safety=None, weight=2 / 3, judgments=3)


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
    assert outcome == Outcome(choice=A, grade=SLIGHTLY, safety=BOTH_SAFE, weight=2 / 3, judgments=3)


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
    assert majority([vote]) == Outcome(vote.choice, vote.grade, vote.safety, weight=1.0, judgments=1)


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
            straight.choice.other, straight.grade, straight.safety, straight.weight, straight.judgments
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


def settled(choice: Choice, grade: Grade | None = None) -> Vote:
    return Vote(choice, grade, adjudicated=True)


@pytest.mark.parametrize(
    ("choice", "grade", "step"),
    [
        (A, SIGNIFICANTLY, 0),
        (A, NEGLIGIBLY, 3),
        (B, NEGLIGIBLY, 4),
        (B, SIGNIFICANTLY, 7),
        (A, None, None),
    ],
)
def test_a_vote_has_a_place_on_the_scale_of_eight(
    choice: Choice, grade: Grade | None, step: int | None
) -> None:
    assert Vote(choice, grade).step == step


@given(VOTES)
def test_exchanging_a_and_b_mirrors_the_scale(vote: Vote) -> None:
    other = Vote(vote.choice.other, vote.grade)
    assert (vote.step is None) if other.step is None else (vote.step == 7 - other.step)


def test_a_rule_says_its_version() -> None:
    assert [rule.value for rule in AggregationRule] == [
        "each/1",
        "majority/1",
        "adjudicated/1",
        "dawid-skene/1",
    ]


def test_each_vote_may_be_a_row_of_its_own() -> None:
    rows = outcomes(EACH, [Vote(A, BETTER, BOTH_SAFE), Vote(B, SLIGHTLY)])
    assert rows == [
        Outcome(A, BETTER, BOTH_SAFE, weight=1.0, judgments=1),
        Outcome(B, SLIGHTLY, None, weight=1.0, judgments=1),
    ]


@pytest.mark.parametrize("rule", [MAJORITY, ADJUDICATED])
def test_an_even_split_that_nobody_settled_is_left_out(rule: AggregationRule) -> None:
    assert outcomes(rule, votes(A, B)) == []


def test_what_a_reviewer_settled_stands_against_everybody() -> None:
    rows = outcomes(ADJUDICATED, [*votes(A, A, A), settled(B, SLIGHTLY)])
    assert rows == [Outcome(B, SLIGHTLY, None, weight=1.0, judgments=1)]


def test_where_no_reviewer_settled_anything_the_majority_stands() -> None:
    assert outcomes(ADJUDICATED, votes(A, B, B)) == outcomes(MAJORITY, votes(A, B, B))


@pytest.mark.parametrize("rule", [EACH, MAJORITY, DAWID_SKENE])
def test_a_reviewers_vote_is_no_further_independent_voice(rule: AggregationRule) -> None:
    alone = outcomes(rule, votes(A, B, B), posterior=0.2)
    assert outcomes(rule, [*votes(A, B, B), settled(A, BETTER)], posterior=0.2) == alone


def test_the_likelier_choice_stands_even_against_the_majority() -> None:
    rows = outcomes(DAWID_SKENE, [Vote(A, SLIGHTLY), Vote(A, BETTER), Vote(B, BETTER)], posterior=0.1)
    assert rows == [Outcome(B, BETTER, None, weight=0.9, judgments=3)]


def test_a_likelier_choice_that_nobody_made_has_no_grade_and_no_label() -> None:
    rows = outcomes(DAWID_SKENE, [Vote(A, BETTER, BOTH_SAFE)], posterior=0.25)
    assert rows == [Outcome(B, None, None, weight=0.75, judgments=1)]


def test_where_both_choices_are_as_likely_the_comparison_is_left_out() -> None:
    assert outcomes(DAWID_SKENE, votes(A, B), posterior=0.5) == []


def test_the_likelier_choice_cannot_be_told_without_a_posterior() -> None:
    with pytest.raises(ValueError, match="posterior"):
        outcomes(DAWID_SKENE, votes(A))


@pytest.mark.parametrize("rule", AggregationRule)
def test_of_no_votes_there_is_no_row(rule: AggregationRule) -> None:
    assert outcomes(rule, []) == []


@given(st.sampled_from(AggregationRule), st.lists(VOTES, max_size=7), st.floats(0, 1))
def test_every_row_has_more_weight_than_a_coin(
    rule: AggregationRule, given_votes: list[Vote], posterior: float
) -> None:
    for row in outcomes(rule, given_votes, posterior=posterior):
        assert 0.5 < row.weight <= 1
        assert 1 <= row.judgments <= len(given_votes)


@given(
    st.sampled_from([MAJORITY, ADJUDICATED, DAWID_SKENE]),
    st.lists(VOTES, max_size=7).flatmap(lambda v: st.tuples(st.just(v), st.permutations(v))),
    st.floats(0, 1),
)
def test_no_rule_minds_the_order_of_votes(
    rule: AggregationRule, pair: tuple[list[Vote], list[Vote]], posterior: float
) -> None:
    straight, shuffled = (outcomes(rule, order, posterior=posterior) for order in pair)
    assert straight == shuffled
