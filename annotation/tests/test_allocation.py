"""Who gets what next: the rules, the order, and what always holds of the slots."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from datetime import timedelta
from uuid import uuid4

import pytest
import time_machine
from django.db import transaction
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st

from annotation.core.allocation import (
    AGE,
    Nothing,
    Person,
    Week,
    doubt,
    front,
    place_of,
    rank_of,
    terms_for,
)
from annotation.core.grades import Choice, Focus, Grade
from annotation.core.passes import PassReason
from annotation.errors import DomainError
from annotation.models import Batch, Certificate, Comparison, Judgment, Lease, Pass, User, Worklist
from annotation.queries import annotator_day
from annotation.services.allocation import lease_next, rank_comparisons
from annotation.services.judgments import Answer, retract_judgment, submit_judgment
from annotation.services.leases import give_back_all, release_expired
from annotation.services.passes import pass_on, retract_pass
from tests.factories import make_batch, make_comparisons, make_judgment, make_user

Pairs = Callable[..., list[Comparison]]
BOTH = frozenset(Focus)


def keys(found: list[Comparison]) -> list[str]:
    return [comparison.key for comparison in found]


def skip(annotator: User, pair: Comparison) -> Pass:
    return pass_on(annotator=annotator, comparison_key=pair.key, uid=uuid4(), reason=PassReason.OTHER)


def test_somebody_paused_is_given_nothing() -> None:
    assert terms_for(Person(agreed=BOTH, paused=True), Week()).why is Nothing.PAUSED


def test_a_week_that_asks_for_certificates_gives_the_certified_focuses_alone() -> None:
    person = Person(agreed=BOTH, certified=[Focus.HELPFULNESS])
    assert terms_for(person, Week(needs_certificate=True)).focuses == (Focus.HELPFULNESS,)
    assert terms_for(Person(agreed=BOTH), Week(needs_certificate=True)).why is Nothing.NOT_QUALIFIED


def test_a_certificate_does_not_take_the_place_of_consent() -> None:
    person = Person(agreed=[Focus.HELPFULNESS], certified=[Focus.SAFETY])
    assert terms_for(person, Week(needs_certificate=True)).why is Nothing.NOT_QUALIFIED


def test_whoever_reads_some_languages_gets_those_and_what_nobody_named() -> None:
    terms = terms_for(Person(agreed=BOTH, languages=["en", "de"]), Week())
    assert terms.languages == ("", "de", "en")


def test_the_quota_ends_a_week_for_one_person() -> None:
    week = Week(person_quota=10)
    assert terms_for(Person(agreed=BOTH, done=9), week).why is None
    assert terms_for(Person(agreed=BOTH, done=10), week).why is Nothing.QUOTA


def test_doubt_is_what_is_left_of_the_probability() -> None:
    # sigmoid(ln 3) is 3/4: twice as far from 1/2 as from 1, so half of the doubt is left.
    assert doubt(math.log(3)) == pytest.approx(0.5)
    assert doubt(0) == 1


@given(st.floats(-700, 700))
def test_doubt_is_a_share_and_does_not_know_which_response_came_first(difference: float) -> None:
    assert 0 <= doubt(difference) == doubt(-difference) <= 1


def test_pairs_that_models_disagree_on_come_before_those_that_one_doubts() -> None:
    assert rank_of([0.1, 0.2], at_odds=True) < rank_of([1.0, 1.0]) < rank_of([0.5])


def test_a_pair_that_no_model_scored_has_no_rank() -> None:
    with pytest.raises(ValueError, match="no model"):
        rank_of([])


MOMENTS = st.integers(0, 2**51)
RANKS = st.integers(-1000, 1000)


@given(MOMENTS, RANKS, MOMENTS, RANKS)
def test_places_go_by_rank_and_then_by_age(at: int, rank: int, other: int, beside: int) -> None:
    here, there = place_of(at, rank=rank), place_of(other, rank=beside)
    assert (here < there) == ((rank, at) < (beside, other))
    assert front(at) < 0 <= here < 2**63


def test_another_rank_keeps_the_age_and_what_came_back_keeps_its_place(
    ada: User, week: Batch, pairs: Pairs
) -> None:
    stays, moves = pairs(2)
    lease_next(annotator=ada)
    skip(ada, stays)
    came_back = Comparison.objects.get(pk=stays.pk).place
    assert rank_comparisons(batch=week, ranks={stays.pk: 9, moves.pk: 9}) == 1
    assert Comparison.objects.get(pk=stays.pk).place == came_back < 0
    assert Comparison.objects.get(pk=moves.pk).place == place_of(moves.place & AGE, rank=9)


def test_pairs_of_lower_rank_are_given_first(ada: User, week: Batch, pairs: Pairs) -> None:
    first, second, third = pairs(3)
    rank_comparisons(batch=week, ranks={third.pk: -5, first.pk: 7})
    assert lease_next(annotator=ada, count=3) == [third, second, first]


def test_a_rank_given_in_mid_week_reaches_people_who_were_further_on(
    ada: User, week: Batch, pairs: Pairs
) -> None:
    found = pairs(6)
    lease_next(annotator=ada, count=2)
    rank_comparisons(batch=week, ranks={found[5].pk: -1})
    assert lease_next(annotator=ada, count=3)[2] == found[5]


def test_what_somebody_gave_back_is_given_before_all_else(ada: User, ben: User, pairs: Pairs) -> None:
    found = pairs(6)
    lease_next(annotator=ada, count=3)
    assert keys(lease_next(annotator=ben)) == [found[3].key]
    skip(ada, found[1])
    assert lease_next(annotator=ben, count=2)[1] == found[1]


def test_an_expired_pair_is_given_to_others_before_all_else(ada: User, ben: User, pairs: Pairs) -> None:
    found = pairs(6)
    lease_next(annotator=ada, count=2)
    with time_machine.travel(timezone.now() + timedelta(hours=2)):
        assert lease_next(annotator=ben, count=3) == [found[0], found[1], found[2]]


def test_a_judgment_after_the_lease_ran_out_counts_while_nobody_took_the_slot(
    ada: User, ben: User, pairs: Pairs
) -> None:
    (pair,) = pairs(1)
    lease_next(annotator=ada)
    with time_machine.travel(timezone.now() + timedelta(hours=2)):
        release_expired()
        make_judgment_of(ada, pair)
        assert lease_next(annotator=ben) == []


def test_people_are_given_the_languages_they_read(ada: User, week: Batch, pairs: Pairs) -> None:
    english, german, unnamed = pairs(3)
    Comparison.objects.filter(pk=english.pk).update(language="en")
    Comparison.objects.filter(pk=german.pk).update(language="de")
    ada.languages = ["de"]
    assert lease_next(annotator=ada, count=3) == [german, unnamed]
    assert annotator_day(ada, week).waiting["helpfulness"] == 2


def test_a_week_for_qualified_people_gives_to_nobody_else(
    ada: User, ben: User, week: Batch, pairs: Pairs
) -> None:
    pairs(2)
    Batch.objects.filter(pk=week.pk).update(needs_certificate=True)
    Certificate.objects.create(annotator=ada, focus=Focus.HELPFULNESS)
    Certificate.objects.create(
        annotator=ben, focus=Focus.HELPFULNESS, expires_at=timezone.now() - timedelta(days=1)
    )
    assert len(lease_next(annotator=ada)) == 1
    assert lease_next(annotator=ben) == []


def test_pairs_in_hand_count_for_the_quota(ada: User, week: Batch, pairs: Pairs) -> None:
    pairs(5)
    Batch.objects.filter(pk=week.pk).update(person_quota=3)
    make_judgment(ada)
    assert len(lease_next(annotator=ada, count=5)) == 2


def test_the_day_says_why_nothing_is_given(ada: User, week: Batch, pairs: Pairs) -> None:
    pairs(2)
    ada.paused_at = timezone.now()
    assert annotator_day(ada, week).why is Nothing.PAUSED


def test_the_oldest_open_week_comes_first(ada: User, week: Batch, pairs: Pairs) -> None:
    later = make_batch()
    make_comparisons(later, 1)
    pairs(1)
    assert [pair.batch for pair in lease_next(annotator=ada, count=2)] == [week, later]


def test_whoever_came_to_the_end_is_given_what_lies_behind_them(ada: User, ben: User, pairs: Pairs) -> None:
    found = pairs(3)
    lease_next(annotator=ben, count=1)
    lease_next(annotator=ada, count=2)  # the second and the third
    Lease.objects.filter(annotator=ben).delete()
    Comparison.objects.filter(pk=found[0].pk).update(free=1)  # without a word to the queue
    assert lease_next(annotator=ada, count=3)[2] == found[0]


def test_a_pair_that_has_no_slot_left_keeps_nobody_from_the_next(ada: User, ben: User, pairs: Pairs) -> None:
    first, second = pairs(2)
    lease_next(annotator=ada)
    Comparison.objects.filter(pk=first.pk).update(free=1)  # though Ada holds the only slot
    assert lease_next(annotator=ben) == [second]


def make_judgment_of(annotator: User, pair: Comparison) -> Judgment:
    return submit_judgment(
        annotator=annotator,
        comparison_key=pair.key,
        uid=uuid4(),
        answer=Answer(choice=Choice.A, grade=Grade.BETTER),
    )


class Bench:
    """Three people at four pairs of overlap 2, and the things that they may do."""

    def __init__(self) -> None:
        self.people = [make_user(name) for name in ("cora", "dan", "eve")]
        self.pairs = make_comparisons(make_batch(overlap=2), 4)
        self.clock = timezone.now()

    def do(self, action: str, who: int, which: int) -> None:
        person, pair = self.people[who], self.pairs[which]
        # What is refused changes nothing, and the law below still holds.
        with time_machine.travel(self.clock, tick=False), contextlib.suppress(DomainError):
            getattr(self, action)(person, pair)

    def take(self, person: User, pair: Comparison) -> None:
        lease_next(annotator=person, count=2)

    def judge(self, person: User, pair: Comparison) -> None:
        make_judgment_of(person, pair)

    def skip(self, person: User, pair: Comparison) -> None:
        skip(person, pair)

    def undo(self, person: User, pair: Comparison) -> None:
        for judgment in Judgment.objects.effective().filter(annotator=person, comparison=pair):
            retract_judgment(annotator=person, uid=judgment.uid)
        for row in Pass.objects.standing().filter(annotator=person, comparison=pair):
            retract_pass(annotator=person, uid=row.uid)

    def wait(self, person: User, pair: Comparison) -> None:
        self.clock += timedelta(minutes=20)

    def leave(self, person: User, pair: Comparison) -> None:
        give_back_all(annotator=person)

    def sweep(self, person: User, pair: Comparison) -> None:
        release_expired()

    def check(self) -> None:
        for pair in Comparison.objects.select_related("batch"):
            leases = Lease.objects.filter(comparison=pair)
            assert pair.free + leases.filter(released=False).count() == pair.batch.overlap
            assert Judgment.objects.effective().filter(comparison=pair).count() <= pair.batch.overlap
            assert (
                leases.filter(judged=True).count()
                >= Judgment.objects.effective().filter(comparison=pair).count()
            )


ACTIONS = ("take", "judge", "skip", "undo", "wait", "leave", "sweep")


@pytest.mark.django_db
@settings(max_examples=30)
@given(
    st.lists(
        st.tuples(st.sampled_from(ACTIONS), st.integers(0, 2), st.integers(0, 3)), min_size=5, max_size=40
    )
)
def test_free_slots_and_held_ones_always_add_up_to_the_overlap(steps: list[tuple[str, int, int]]) -> None:
    with transaction.atomic():
        bench = Bench()
        for step in steps:
            bench.do(*step)
            bench.check()
        transaction.set_rollback(True)


def test_a_person_has_one_worklist_a_week(ada: User, week: Batch, pairs: Pairs) -> None:
    pairs(3)
    lease_next(annotator=ada, count=2)
    lease_next(annotator=ada, count=3)
    assert Worklist.objects.get(annotator=ada, batch=week).given == 3
