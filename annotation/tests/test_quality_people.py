"""How the people of a batch work: their figures, their order, and what is said of whom."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from pytest_django import DjangoAssertNumQueries

from annotation.core.anomalies import AnomalyKind
from annotation.core.grades import Choice, Grade
from annotation.core.states import ComparisonState
from annotation.models import Batch, Comparison, Gold, Judgment, User
from annotation.quality_people import portrait_of, standing_out, workers_of
from annotation.tests.checks import careful, make_checks, make_week, work, wrong
from annotation.tests.opinions import BETTER, SIG, SLIGHTLY, A, B, crowd, say
from tests.factories import make_batch, make_comparisons

pytestmark = pytest.mark.django_db

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
PAIRS = 60


def choices(pairs: Sequence[Comparison]) -> list[Choice]:
    """What everybody sees: A in every second pair."""
    return [A if number % 2 else B for number in range(len(pairs))]


@pytest.fixture
def busy() -> tuple[Batch, list[User]]:
    """Five people who agree on all but every tenth pair of their own; the first always chooses A instead."""
    batch = make_batch(overlap=5)
    people, pairs = crowd(5), make_comparisons(batch, PAIRS)
    right = choices(pairs)
    say(people[0], pairs, [(A, BETTER) for _ in pairs])
    for place, person in enumerate(people[1:]):
        own = [choice.other if number % 10 == place else choice for number, choice in enumerate(right)]
        say(person, pairs, [(choice, BETTER) for choice in own])
    return batch, people


def test_the_worst_comes_first_and_is_named(busy: tuple[Batch, list[User]]) -> None:
    batch, people = busy
    workers = workers_of(batch)
    assert workers[0].user == people[0]
    assert [worker.user for worker in standing_out(workers)] == [people[0]]
    assert AnomalyKind.AGREEMENT in {anomaly.kind for anomaly in workers[0].anomalies}


def test_agreement_is_a_count_of_pairs_of_judgments(busy: tuple[Batch, list[User]]) -> None:
    batch, people = busy
    worst = next(worker for worker in workers_of(batch) if worker.user == people[0])
    # Of 60 pairs A is right in 30; there the four others say A but where one of them errs: of every ten pairs the
    # ones ending in 0 to 3, so 6 times each. Pairs with an odd number (A is right) have an error at 1 and 3: 12 of 30.
    # With A right they agree in 30 x 4 - 12 = 108 cases; with B right only those who err there say A: 12.
    assert (worst.conduct.agreement.hits, worst.conduct.agreement.trials) == (120, 240)


def test_dawid_and_skene_find_the_same_person(busy: tuple[Batch, list[User]]) -> None:
    batch, people = busy
    accuracies = {worker.user: worker.accuracy or 0.0 for worker in workers_of(batch)}
    assert min(accuracies, key=accuracies.__getitem__) == people[0]
    assert accuracies[people[0]] == pytest.approx(0.5, abs=0.05)
    assert accuracies[people[1]] == pytest.approx(0.9, abs=0.05)


def test_who_has_done_little_comes_last_and_is_said_nothing_of(busy: tuple[Batch, list[User]]) -> None:
    batch, _ = busy
    (beginner,) = crowd(1, "beginner")
    pairs = list(batch.comparisons.order_by("pk")[:5])
    say(beginner, pairs, [(choice.other, BETTER) for choice in choices(pairs)])
    worker = workers_of(batch)[-1]
    assert (worker.user, worker.is_known, worker.anomalies) == (beginner, False, [])


def test_of_two_who_agree_as_seldom_the_one_of_whom_more_is_known_comes_first(
    busy: tuple[Batch, list[User]],
) -> None:
    batch, people = busy
    (beginner,) = crowd(1, "beginner")
    pairs = list(batch.comparisons.order_by("pk")[:30])
    right = choices(pairs)
    say(
        beginner,
        pairs,
        [(choice if number < 16 else choice.other, BETTER) for number, choice in enumerate(right)],
    )
    shares = {worker.user: worker.conduct.agreement for worker in workers_of(batch)}
    assert [(shares[one].value, shares[one].trials) for one in (people[0], beginner)] == [
        (0.5, 270),
        (0.5, 150),
    ]
    assert shares[beginner].high > shares[people[0]].high
    assert [worker.user for worker in workers_of(batch)[:2]] == [people[0], beginner]


def test_alone_on_every_pair_there_is_no_agreement_and_no_accuracy(ada: User) -> None:
    batch = make_batch()
    pairs = make_comparisons(batch, 3)
    say(ada, pairs, [(A, SIG)] * 3)
    (worker,) = workers_of(batch)
    assert (worker.conduct.agreement.trials, worker.accuracy, worker.is_known) == (0, None, False)


def test_withdrawn_pairs_do_not_count(busy: tuple[Batch, list[User]]) -> None:
    batch, _ = busy
    Comparison.objects.filter(pk=batch.comparisons.order_by("pk")[0].pk).update(
        state=ComparisonState.WITHDRAWN
    )
    assert {worker.conduct.judgments for worker in workers_of(batch)} == {PAIRS - 1}


def giving_up(person: User, pairs: Sequence[Comparison], **columns: object) -> None:
    """Right at first, wrong in the last third."""
    late = len(pairs) * 2 // 3
    say(
        person,
        pairs,
        [(choice if number < late else choice.other, BETTER) for number, choice in enumerate(choices(pairs))],
        **columns,
    )


@pytest.mark.parametrize(
    ("source", "kinds"), [(Judgment.Source.PERSON, {AnomalyKind.DRIFT}), (Judgment.Source.IMPORT, set())]
)
def test_drift_is_told_of_those_whose_times_are_known(source: str, kinds: set[AnomalyKind]) -> None:
    batch = make_batch(overlap=5)
    people, pairs = crowd(5), make_comparisons(batch, 150)
    for person in people[1:]:
        say(person, pairs, [(choice, BETTER) for choice in choices(pairs)])
    giving_up(people[0], pairs, source=source)
    for row in Judgment.objects.select_related("comparison"):
        at = START + timedelta(minutes=row.comparison_id)
        Judgment.objects.filter(pk=row.pk).update(created_at=at)
    worker = next(one for one in workers_of(batch) if one.user == people[0])
    assert worker.has_times is (source == Judgment.Source.PERSON)
    assert {one.kind for one in worker.anomalies} & {AnomalyKind.DRIFT} == kinds


def test_checks_of_the_batch_are_counted_and_retired_ones_are_not(ada: User, ben: User, rosa: User) -> None:
    checks = make_checks(4, by=rosa)
    batch = make_week(rate=0.5, overlap=2)
    work(ada, 8, careful)
    work(ben, 8, wrong)
    Gold.objects.filter(pk=checks[0].pk).update(active=False)
    found = {worker.user: (worker.checks_right, worker.checks) for worker in workers_of(batch)}
    assert found == {ada: (3, 3), ben: (0, 3)}


def test_a_portrait_has_everybody_they_met_and_each_grade_they_gave(ada: User, ben: User) -> None:
    batch = make_batch(overlap=2)
    pairs = make_comparisons(batch, 7)
    say(ada, pairs, [(A, SIG)] * 2 + [(B, SLIGHTLY)] * 5)
    say(ben, pairs[:5], [(A, SIG), (B, BETTER), (B, BETTER), (B, BETTER), (A, BETTER)])
    portrait = portrait_of(batch, ada.pk)
    assert portrait is not None
    rows = [
        (row.grade, row.judgments, row.agreement.hits, row.agreement.trials)
        for row in portrait.grades
        if row.judgments
    ]
    assert rows == [(Grade.SIGNIFICANTLY_BETTER, 2, 1, 2), (Grade.SLIGHTLY_BETTER, 5, 2, 3)]
    assert [(row.same, row.shared) for row in portrait.couples.rows] == [(3, 5)]
    assert portrait.people == {ada.pk: ada, ben.pk: ben}


def test_there_is_no_portrait_of_who_judged_nothing(busy: tuple[Batch, list[User]], rosa: User) -> None:
    assert portrait_of(busy[0], rosa.pk) is None


def test_nobody_has_done_anything_yet() -> None:
    assert workers_of(make_batch()) == []


def test_a_batch_costs_four_queries_whoever_works_in_it(
    busy: tuple[Batch, list[User]], django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(4):
        workers_of(busy[0])
    with django_assert_num_queries(5):
        portrait_of(busy[0], busy[1][0].pk)
