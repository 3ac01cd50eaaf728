"""What happens when two do the same at once. PostgreSQL alone lets writers run beside each other."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Barrier
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings
from django.db import connection

from annotation.core.grades import Focus
from annotation.core.passes import PassReason
from annotation.core.states import ComparisonState
from annotation.errors import ConflictError, DomainError, LeaseLostError
from annotation.models import Comparison, Lease, Pass, User
from annotation.services.allocation import lease_next
from annotation.services.passes import handle_flag, pass_on, retract_pass
from annotation.services.people import set_safety_consent
from tests.factories import make_batch, make_comparisons, make_judgment, make_user

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(
        "postgresql" not in settings.DATABASES["default"]["ENGINE"], reason="SQLite has one writer at a time"
    ),
]
ROUNDS = 8


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """What each call returned, or the domain error that it raised; any other error is the test's."""
    ready = Barrier(len(calls))

    def run(call: Callable[[], Any]) -> Any:
        try:
            ready.wait(timeout=10)
            return call()
        except DomainError as error:
            return error
        finally:
            connection.close()

    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.result(timeout=30) for future in [pool.submit(run, call) for call in calls]]


@pytest.fixture
def ada(transactional_db: None) -> User:
    return make_user("ada")


@pytest.fixture
def ben(transactional_db: None) -> User:
    return make_user("ben")


@pytest.fixture
def held(ada: User) -> list[Comparison]:
    """Pairs in Ada's hands."""
    make_comparisons(make_batch(), ROUNDS)
    return lease_next(annotator=ada, count=ROUNDS)


def skip(annotator: User, pair: Comparison, *, uid: Any = None, reason: PassReason = PassReason.OTHER) -> Any:
    return pass_on(annotator=annotator, comparison_key=pair.key, uid=uid or uuid4(), reason=reason)


def test_the_same_pass_sent_twice_at_once_is_stored_once(ada: User, held: list[Comparison]) -> None:
    for pair in held:
        uid = uuid4()
        found = at_once(*[partial(skip, ada, pair, uid=uid)] * 2)
        assert [row.uid for row in found] == [uid, uid]
    assert Pass.objects.count() == len(held)


def test_a_pair_skipped_in_two_tabs_at_once_is_skipped_once(ada: User, held: list[Comparison]) -> None:
    for pair in held:
        found = at_once(*[partial(skip, ada, pair)] * 2)
        assert len({row.pk for row in found}) == 1


def test_a_judged_pair_flagged_in_two_tabs_at_once_has_one_flag(ada: User, held: list[Comparison]) -> None:
    for _ in held:
        make_judgment(ada)
    for pair in held:
        found = at_once(*[partial(skip, ada, pair, reason=PassReason.UNSAFE)] * 2)
        assert len({row.pk for row in found}) == 1


def test_a_pair_taken_back_while_somebody_else_asks_has_one_holder(
    ada: User, ben: User, held: list[Comparison]
) -> None:
    for pair in held:
        row = skip(ada, pair)
        back, given = at_once(
            partial(retract_pass, annotator=ada, uid=row.uid), partial(lease_next, annotator=ben)
        )
        holder = Lease.objects.get(comparison=pair).annotator
        assert (holder, isinstance(back, LeaseLostError), len(given)) in [(ada, False, 0), (ben, True, 1)]
        Lease.objects.filter(comparison=pair).update(judged=True)  # the next round is about the next pair


def test_two_reviewers_who_decide_at_once_decide_once(ada: User, ben: User, held: list[Comparison]) -> None:
    for pair in held:
        flag = skip(ada, pair, reason=PassReason.UNSAFE)
        outcomes = at_once(
            partial(handle_flag, flag=flag, by=ada, restore=True),
            partial(handle_flag, flag=flag, by=ben, restore=False),
        )
        (refused,) = [outcome for outcome in outcomes if isinstance(outcome, ConflictError)]
        pair.refresh_from_db()
        was_kept_out = outcomes.index(refused) == 0
        assert pair.state == (ComparisonState.WITHDRAWN if was_kept_out else ComparisonState.OPEN)


def test_a_flag_taken_back_while_a_reviewer_decides_ends_one_way(
    ada: User, ben: User, held: list[Comparison]
) -> None:
    for pair in held:
        flag = skip(ada, pair, reason=PassReason.BROKEN)
        back, decided = at_once(
            partial(retract_pass, annotator=ada, uid=flag.uid),
            partial(handle_flag, flag=flag, by=ben, restore=False),
        )
        assert isinstance(back, DomainError) != isinstance(decided, DomainError)
        pair.refresh_from_db()
        kept_out = isinstance(back, DomainError)
        assert pair.state == (ComparisonState.WITHDRAWN if kept_out else ComparisonState.OPEN)


def test_safety_pairs_are_not_leased_to_somebody_who_stops_at_that_moment(ada: User) -> None:
    batch = make_batch()
    for _ in range(ROUNDS):
        make_comparisons(batch, 1, focus=Focus.SAFETY)
        at_once(
            lambda: lease_next(annotator=User.objects.get(pk=ada.pk)),
            lambda: set_safety_consent(annotator=User.objects.get(pk=ada.pk), agreed=False),
        )
        ada.refresh_from_db()
        assert lease_next(annotator=ada, count=4) == [], "what was leased in between is not shown"
        set_safety_consent(annotator=ada, agreed=True)
        ada.refresh_from_db()
