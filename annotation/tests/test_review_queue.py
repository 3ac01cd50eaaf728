"""Which pairs wait for a reviewer, and in which order. Ada and Ben annotate, Rhea and Rolf review."""

from __future__ import annotations

from typing import Any

import pytest

from annotation.core.grades import Focus, SafetyLabel
from annotation.core.states import ComparisonState
from annotation.models import Batch, Comparison, Judgment, User
from annotation.reviewing import (
    Kind,
    Place,
    Wanted,
    count_disputes,
    dispute_before,
    disputes,
)
from annotation.services.batches import seal_batch
from annotation.services.judgments import settle_comparison
from annotation.tests.checks import make_checks
from annotation.tests.disputes import (
    BETTER,
    BY_ALL,
    NEGLIGIBLY,
    SIGNIFICANTLY,
    SLIGHTLY,
    A,
    B,
    dismiss,
    make_dispute,
    say,
    waiting,
)
from tests.factories import make_batch, make_user


def test_pairs_that_people_judged_differently_wait_the_widest_difference_first(
    two: Batch, ada: User, ben: User, rhea: User
) -> None:
    """On the scale of eight: A better is step 1, B slightly 5, B significantly 7, A negligibly 3, B negligibly 4."""
    near = make_dispute(two, {ada: (A, NEGLIGIBLY), ben: (B, NEGLIGIBLY)})
    wide = make_dispute(two, {ada: (A, BETTER), ben: (B, SIGNIFICANTLY)})
    middle = make_dispute(two, {ada: (A, BETTER), ben: (B, SLIGHTLY)})
    make_dispute(two, {ada: (A, BETTER), ben: (A, NEGLIGIBLY)})
    assert waiting(rhea) == [wide, middle, near]
    assert [pair.dispute for pair in waiting(rhea)] == [6, 4, 1]
    assert disputes(rhea, BY_ALL)[0].choices == ("a", "b")


def test_pairs_whose_judgments_are_all_in_come_first(ada: User, ben: User, rhea: User) -> None:
    batch = make_batch(overlap=3)
    open_yet = make_dispute(batch, {ada: (A, SIGNIFICANTLY), ben: (B, SIGNIFICANTLY)})
    cleo = make_user("cleo")
    say_all = {ada: (A, NEGLIGIBLY), ben: (B, NEGLIGIBLY), cleo: (B, NEGLIGIBLY)}
    Comparison.objects.filter(pk=open_yet.pk).update(free=0)  # so that Cleo is given the next one
    complete = make_dispute(batch, say_all)  # type: ignore[arg-type]
    assert waiting(rhea) == [complete, open_yet]


def test_labels_that_differ_are_a_dispute_of_their_own(two: Batch, ada: User, ben: User, rhea: User) -> None:
    both, unsafe = SafetyLabel.BOTH_SAFE, SafetyLabel.BOTH_UNSAFE
    label = make_dispute(two, {ada: (A, BETTER, both), ben: (A, BETTER, unsafe)}, focus=Focus.SAFETY)
    choice = make_dispute(two, {ada: (A, BETTER, both), ben: (B, BETTER, both)}, focus=Focus.SAFETY)
    helpful = make_dispute(two, {ada: (A, BETTER), ben: (B, BETTER)})
    assert waiting(rhea, Wanted(kind=Kind.LABEL)) == [label]
    assert waiting(rhea, Wanted(kind=Kind.CHOICE)) == [choice, helpful]
    assert waiting(rhea, Wanted(focus=Focus.HELPFULNESS)) == [helpful]


def test_a_week_can_be_looked_at_alone_and_two_are_merged(ada: User, ben: User, rhea: User) -> None:
    first, second = make_batch(overlap=2), make_batch(overlap=2)
    near = make_dispute(first, {ada: (A, NEGLIGIBLY), ben: (B, NEGLIGIBLY)})
    wide = make_dispute(second, {ada: (A, BETTER), ben: (B, BETTER)})
    assert waiting(rhea) == [wide, near]
    assert waiting(rhea, Wanted(batch=first.pk)) == [near]


def test_the_queue_is_walked_in_pages_both_ways(two: Batch, ada: User, ben: User, rhea: User) -> None:
    grades = (SLIGHTLY, BETTER, NEGLIGIBLY, BETTER, SIGNIFICANTLY)
    made = [make_dispute(two, {ada: (A, grade), ben: (B, grade)}) for grade in grades]
    queue = waiting(rhea)
    assert {pair.pk for pair in queue} == {pair.pk for pair in made}
    paged: list[Comparison] = []
    while page := disputes(rhea, BY_ALL, after=Place.of(paged[-1]) if paged else None, limit=2):
        paged.extend(one.pair for one in page)
    assert paged == queue
    for before, pair in zip([None, *queue], queue, strict=False):
        assert dispute_before(rhea, BY_ALL, Place.of(pair)) == before
        place = Place.of(pair)
        assert Place.read(place.cursor) == place


@pytest.mark.parametrize("cursor", ["", "x", "2.1.1", "1.1", "-1.2.3", "0.1.2.3"])
def test_what_is_no_place_begins_at_the_front(cursor: str) -> None:
    assert Place.read(cursor) is None


def test_the_queue_goes_past_all_that_is_decided(two: Batch, ada: User, ben: User, rhea: User) -> None:
    made = [make_dispute(two, {ada: (A, BETTER), ben: (B, BETTER)}) for _ in range(6)]
    for pair in made[:5]:
        dismiss(pair, rhea)
    assert waiting(rhea) == made[5:]
    assert dispute_before(rhea, BY_ALL, Place.of(made[5])) is None


def test_a_decided_pair_waits_no_more_until_somebody_says_something_new(
    pair: Comparison, ada: User, rhea: User, rolf: User
) -> None:
    dismiss(pair, rhea)
    assert waiting(rolf) == []
    say(ada, pair, A, SIGNIFICANTLY)
    assert waiting(rolf) == [pair]
    dismiss(pair, rhea)
    say(ada, pair, B, SLIGHTLY)
    assert waiting(rolf) == [], "they agree now"


def test_pairs_that_a_reviewer_judged_are_others_to_decide(
    two: Batch, ada: User, rhea: User, rolf: User
) -> None:
    pair = make_dispute(two, {ada: (A, BETTER), rhea: (B, BETTER)})
    assert (waiting(rhea), waiting(rolf)) == ([], [pair])
    assert (count_disputes(rhea), count_disputes(rolf)) == (0, 1)


def test_neither_sealed_weeks_nor_withdrawn_pairs_nor_checks_wait(
    pair: Comparison, ada: User, ben: User, rhea: User, rosa: User
) -> None:
    make_checks(1, rosa)
    check = pair.batch.comparisons.get(gold__isnull=False)
    for person, choice in ((ada, A), (ben, B)):
        Judgment.objects.create(
            comparison=check, annotator=person, focus=check.focus, choice=choice, grade=BETTER
        )
    settle_comparison(check)
    assert waiting(rhea) == [pair]
    Comparison.objects.filter(pk=pair.pk).update(state=ComparisonState.WITHDRAWN)
    assert waiting(rhea) == []
    Comparison.objects.filter(pk=pair.pk).update(state=ComparisonState.COMPLETE)
    seal_batch(batch=pair.batch)
    assert waiting(rhea) == []


def test_the_queue_asks_as_often_for_many_pairs_as_for_few(
    two: Batch, ada: User, ben: User, rhea: User, django_assert_max_num_queries: Any
) -> None:
    for _ in range(6):
        make_dispute(two, {ada: (A, BETTER), ben: (B, BETTER)})
    with django_assert_max_num_queries(7):
        assert len(waiting(rhea)) == 6
