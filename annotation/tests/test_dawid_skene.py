"""Who is believed: the model of Dawid and Skene on cases that can be followed by hand, and its laws."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation.core.dawid_skene import DawidSkene, fit, posteriors_of

Triple = tuple[int, int, int]  # item, annotator, class said


@st.composite
def some_votes(draw: st.DrawFn, classes: int = 3, fewest: int = 1) -> list[Triple]:
    """Each annotator votes at most once an item, and each of at most 8 items has a vote."""
    items, people = draw(st.integers(fewest, 8)), draw(st.integers(1, 4))
    said = st.lists(st.none() | st.integers(0, classes - 1), min_size=people, max_size=people)
    votes: list[Triple] = []
    for item in range(items):
        row = draw(said)
        row[0] = row[0] or 0
        votes += [(item, who, code) for who, code in enumerate(row) if code is not None]
    return votes


def fitted(votes: list[Triple], classes: int = 2, iterations: int = 200) -> DawidSkene:
    item, annotator, code = zip(*votes, strict=True)
    return fit(item, annotator, code, classes=classes, iterations=iterations)


def crowd(accuracy: list[float], items: int, seed: int = 5) -> tuple[list[int], list[Triple]]:
    """Everybody votes on every item; `accuracy` by person. Returns the truth too."""
    draw = random.Random(seed)
    truth = [draw.randrange(2) for _ in range(items)]
    votes = [
        (item, who, truth[item] if draw.random() < right else 1 - truth[item])
        for item in range(items)
        for who, right in enumerate(accuracy)
    ]
    return truth, votes


def test_one_step_of_two_people_on_two_items_by_hand() -> None:
    # Item 0: both say 0. Item 1: Ada says 0, Ben says 1. The shares of votes are (1, 0) and (1/2, 1/2).
    # Prior: counts 1.5 and 0.5, one more of each: 2.5 and 1.5 of 4.
    # Ada said 0 twice: of class 0 1.5 times, of class 1 0.5 times. With 2 right and 1 wrong before:
    #   class 0: (3.5, 1) / 4.5; class 1: (1.5, 2) / 3.5.
    # Ben said 0 of item 0, all class 0, and 1 of item 1, half and half:
    #   class 0: (3, 1.5) / 4.5; class 1: (1, 2.5) / 3.5.
    # Item 0: 2.5/4 * 3.5/4.5 * 3/4.5 against 1.5/4 * 1.5/3.5 * 1/3.5.
    # Item 1: 2.5/4 * 3.5/4.5 * 1.5/4.5 against 1.5/4 * 1.5/3.5 * 2.5/3.5.
    found = fitted([(0, 0, 0), (0, 1, 0), (1, 0, 0), (1, 1, 1)], iterations=1)
    zero = [2.5 / 4 * 3.5 / 4.5 * 3 / 4.5, 2.5 / 4 * 3.5 / 4.5 * 1.5 / 4.5]
    one = [1.5 / 4 * 1.5 / 3.5 * 1 / 3.5, 1.5 / 4 * 1.5 / 3.5 * 2.5 / 3.5]
    assert found.prior.tolist() == pytest.approx([2.5 / 4, 1.5 / 4])
    assert found.confusion[0].tolist() == [
        pytest.approx([3.5 / 4.5, 1 / 4.5]),
        pytest.approx([1.5 / 3.5, 2 / 3.5]),
    ]
    assert found.posteriors[:, 0].tolist() == pytest.approx(
        [a / (a + b) for a, b in zip(zero, one, strict=True)]
    )
    # log P(votes) + 2 log π_right + log π_wrong over both people and classes + log p over both classes.
    votes = np.log(np.add(zero, one)).sum()
    diagonal = 2 * np.log([3.5 / 4.5, 2 / 3.5, 3 / 4.5, 2.5 / 3.5]).sum()
    beside = np.log([1 / 4.5, 1.5 / 3.5, 1.5 / 4.5, 1 / 3.5]).sum()
    assert found.objective == pytest.approx([votes + diagonal + beside + np.log([2.5 / 4, 1.5 / 4]).sum()])


def test_accuracy_is_the_diagonal_weighed_by_how_frequent_classes_are() -> None:
    found = fitted([(0, 0, 0), (0, 1, 0), (1, 0, 0), (1, 1, 1)], iterations=1)
    # Ada: 2.5/4 * 3.5/4.5 + 1.5/4 * 2/3.5.
    assert found.accuracy[0] == pytest.approx(2.5 / 4 * 3.5 / 4.5 + 1.5 / 4 * 2 / 3.5)


@given(some_votes())
def test_the_objective_never_falls(votes: list[Triple]) -> None:
    objective = np.array(fitted(votes, classes=3).objective)
    assert (np.diff(objective) >= -1e-9 * (1 + abs(objective[:-1]))).all()


@given(some_votes())
def test_posteriors_priors_and_confusions_are_distributions(votes: list[Triple]) -> None:
    found = fitted(votes, classes=3)
    for table in (found.posteriors, found.confusion, found.prior):
        assert (table >= 0).all()
        assert table.sum(axis=-1) == pytest.approx(1.0)


@given(some_votes().flatmap(lambda v: st.tuples(st.just(v), st.permutations(v))))
def test_the_order_of_votes_does_not_matter(pair: tuple[list[Triple], list[Triple]]) -> None:
    straight, shuffled = (fitted(votes, classes=3, iterations=20) for votes in pair)
    assert straight.posteriors == pytest.approx(shuffled.posteriors, abs=1e-9)
    assert straight.accuracy == pytest.approx(shuffled.accuracy, abs=1e-9)


@given(some_votes(fewest=8), st.permutations(range(8)))
def test_the_order_of_items_does_not_matter(votes: list[Triple], places: list[int]) -> None:
    straight = fitted(votes, classes=3, iterations=20)
    renumbered = fitted([(places[item], who, code) for item, who, code in votes], classes=3, iterations=20)
    assert renumbered.posteriors[places] == pytest.approx(straight.posteriors, abs=1e-9)


@given(some_votes(classes=2))
def test_exchanging_the_classes_exchanges_the_posteriors(votes: list[Triple]) -> None:
    straight = fitted(votes, iterations=20)
    swapped = fitted([(item, who, 1 - code) for item, who, code in votes], iterations=20)
    assert swapped.posteriors[:, ::-1] == pytest.approx(straight.posteriors, abs=1e-9)


def test_people_who_never_err_are_believed() -> None:
    truth, votes = crowd([1.0, 1.0, 1.0], items=100)
    found = fitted(votes)
    # Of each class about 50: three people at 52 : 1 against being wrong, (1 / 52)^3 = 0.000007.
    assert found.posteriors[range(100), truth].min() > 0.99998
    assert found.accuracy.min() > 0.97  # about 52 / 53


def test_somebody_who_always_errs_is_learnt_and_told_by_their_opposite() -> None:
    truth, votes = crowd([0.9, 0.85, 0.9, 0.0], items=300)
    # Item 300 was judged by the inverted person alone.
    found = fitted([*votes, (300, 3, 0)])
    assert found.accuracy.argmin() == 3
    assert found.accuracy[3] < 0.05
    assert found.posteriors[300, 1] > 0.9
    assert (found.posteriors[:300].argmax(axis=1) == truth).mean() > 0.95


def test_one_careful_person_outweighs_two_who_guess() -> None:
    truth, votes = crowd([0.97, 0.97, 0.55, 0.55, 0.55], items=400)
    said = {(item, who): code for item, who, code in votes}
    majority = [round(sum(said[item, who] for who in range(5)) / 5) for item in range(400)]
    believed = fitted(votes).posteriors.argmax(axis=1)
    assert (believed == truth).mean() > np.equal(majority, truth).mean() + 0.03


def test_accuracies_are_found_again() -> None:
    rates = [0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6]
    found = fitted(crowd(rates, items=2000)[1])
    # A share of 2,000 has a standard error of at most 0.011.
    assert found.accuracy.tolist() == pytest.approx(rates, abs=0.045)


def test_a_single_dissenting_vote_does_not_make_somebody_a_liar() -> None:
    _, votes = crowd([0.9, 0.9], items=50)
    # On item 50 Ada and Ben say 0 and a newcomer 1; item 51 has the newcomer's vote alone.
    found = fitted([*votes, (50, 0, 0), (50, 1, 0), (50, 2, 1), (51, 2, 1)])
    assert 0.4 < found.posteriors[51, 1] < 0.75


@pytest.mark.parametrize(
    ("item", "annotator", "code"),
    [
        ([0, 1], [0], [0]),
        ([0], [0], [2]),
        ([-1], [0], [0]),
        ([[0]], [[0]], [[0]]),
    ],
)
def test_votes_that_do_not_fit_together_are_refused(
    item: list[int], annotator: list[int], code: list[int]
) -> None:
    with pytest.raises(ValueError, match=r"length|class|counted"):
        fit(item, annotator, code)


def test_posteriors_by_comparison_are_those_of_the_fit() -> None:
    _, votes = crowd([0.9, 0.8, 0.7], items=40)
    named = [(100 + item, 7 * who, "ab"[code]) for item, who, code in votes]
    found = fitted(votes).posteriors[:, 0]
    assert posteriors_of(named) == pytest.approx({100 + n: p for n, p in enumerate(found)}, abs=1e-6)


def test_posteriors_by_comparison_are_equal_to_the_last_digit_in_any_order() -> None:
    _, votes = crowd([0.9, 0.8, 0.7, 0.6], items=200)
    named = [(item, who, "ab"[code]) for item, who, code in votes]
    shuffled = random.Random(1).sample(named, len(named))
    assert posteriors_of(shuffled) == posteriors_of(named)


def test_two_people_who_contradict_each_other_leave_it_open() -> None:
    assert posteriors_of([(1, 1, "a"), (1, 2, "b")]) == {1: 0.5}


def test_of_no_votes_nothing_is_said() -> None:
    assert posteriors_of([]) == {}
