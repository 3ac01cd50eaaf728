"""Who gets what next."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
import time_machine
from django.db import IntegrityError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from annotation.models import Batch, Comparison, Lease, User
from annotation.services.allocation import lease_next
from tests.factories import make_judgment

Pairs = Callable[..., list[Comparison]]


def keys(comparisons: list[Comparison]) -> list[str]:
    return [c.key for c in comparisons]


def test_asking_again_returns_the_same_pair(ada: User, pairs: Pairs) -> None:
    pairs(3)
    assert keys(lease_next(annotator=ada)) == keys(lease_next(annotator=ada))


def test_two_people_get_different_pairs_at_overlap_one(ada: User, ben: User, pairs: Pairs) -> None:
    pairs(2)
    assert keys(lease_next(annotator=ada)) != keys(lease_next(annotator=ben))


def test_a_pair_in_somebodys_hands_is_not_given_to_another(ada: User, ben: User, pairs: Pairs) -> None:
    pairs(1)
    lease_next(annotator=ada)
    assert lease_next(annotator=ben) == []


def test_an_expired_lease_is_given_to_another(ada: User, ben: User, pairs: Pairs) -> None:
    pairs(1)
    lease_next(annotator=ada)
    with time_machine.travel(timezone.now() + timedelta(hours=2)):
        assert len(lease_next(annotator=ben)) == 1


def test_nobody_is_given_a_pair_they_have_judged(ada: User, week: Batch, pairs: Pairs) -> None:
    Batch.objects.filter(pk=week.pk).update(overlap=2)
    pairs(1)
    make_judgment(ada)
    assert lease_next(annotator=ada) == []


def test_a_slot_has_one_holder_whatever_the_code_does(ada: User, ben: User, pairs: Pairs) -> None:
    (comparison,) = pairs(1)
    lease_next(annotator=ada)
    with pytest.raises(IntegrityError):
        Lease.objects.create(comparison=comparison, annotator=ben, slot=0, expires_at=timezone.now())


def test_a_pair_held_too_long_comes_back_to_its_holder_when_nobody_else_took_it(
    ada: User, pairs: Pairs
) -> None:
    pairs(2)
    before = keys(lease_next(annotator=ada, count=2))
    with time_machine.travel(timezone.now() + timedelta(hours=2)):
        assert keys(lease_next(annotator=ada, count=2)) == before


def test_a_pair_that_went_to_another_does_not_come_back(ada: User, ben: User, pairs: Pairs) -> None:
    pairs(1)
    lease_next(annotator=ada)
    with time_machine.travel(timezone.now() + timedelta(hours=2)):
        lease_next(annotator=ben)
        assert lease_next(annotator=ada) == []


def test_a_client_cannot_hoard_leases(ada: User, pairs: Pairs) -> None:
    pairs(40)
    made_up = [f"no such key {i}" for i in range(100)]
    for _ in range(10):
        lease_next(annotator=ada, count=3, skip=made_up)
    assert Lease.objects.filter(annotator=ada).count() == 3


def test_pairs_in_the_outbox_make_room_for_the_next(ada: User, pairs: Pairs) -> None:
    pairs(12)
    unsent: list[str] = []
    for _ in range(3):
        unsent += keys(lease_next(annotator=ada, count=3, skip=unsent))
    assert len(set(unsent)) == 9


def test_the_next_pair_costs_as_many_queries_with_many_rows_as_with_few(ada: User, pairs: Pairs) -> None:
    pairs(4)
    lease_next(annotator=ada)
    with CaptureQueriesContext(connection) as few:
        lease_next(annotator=ada, count=2)
    pairs(200)
    lease_next(annotator=ada, count=10)
    with CaptureQueriesContext(connection) as many:
        lease_next(annotator=ada, count=11)
    assert len(many) == len(few) <= 14


def test_asking_again_costs_one_query(
    ada: User, pairs: Pairs, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    pairs(4)
    lease_next(annotator=ada)
    with django_assert_num_queries(1):
        lease_next(annotator=ada)
