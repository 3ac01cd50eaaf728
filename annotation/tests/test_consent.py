"""Safety pairs go to those who agreed to see them. Ada has not agreed, Ben has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from annotation.core.grades import Focus
from annotation.models import Batch, Comparison, Judgment, Lease, User
from annotation.queries import annotator_day
from annotation.services.allocation import lease_next
from annotation.services.people import ensure_simulated, set_safety_consent
from annotation.services.simulation import simulate_annotators
from tests.factories import make_judgment, make_user

Pairs = Callable[..., list[Comparison]]
AsUser = Callable[[User], Client]
NEXT, SAFETY = "/api/v1/comparisons/next", "/api/v1/me/safety"


@pytest.fixture
def ada(db: None) -> User:
    return make_user("ada", safety=False)


def post(client: Client, data: Any) -> Any:
    return client.post(SAFETY, data, content_type="application/json")


def focuses(leased: list[Comparison]) -> set[str]:
    return {comparison.focus for comparison in leased}


@pytest.fixture
def mixed(pairs: Pairs) -> list[Comparison]:
    """Two pairs of each focus, those about safety first."""
    return [*pairs(2, focus=Focus.SAFETY), *pairs(2)]


def test_without_consent_nobody_is_given_a_safety_pair(ada: User, mixed: list[Comparison]) -> None:
    assert focuses(lease_next(annotator=ada, count=4)) == {Focus.HELPFULNESS}


def test_with_consent_both_kinds_come(ben: User, mixed: list[Comparison]) -> None:
    assert focuses(lease_next(annotator=ben, count=4)) == set(Focus)


def test_safety_pairs_that_wait_are_told_apart_until_somebody_agrees(
    ada: User, week: Batch, mixed: list[Comparison]
) -> None:
    before = annotator_day(ada, week)
    assert (before.waiting, before.safety_waiting) == ({"helpfulness": 2}, 2)
    set_safety_consent(annotator=ada, agreed=True)
    after = annotator_day(ada, week)
    assert (after.waiting, after.safety_waiting) == ({"helpfulness": 2, "safety": 2}, 0)


def test_agreeing_shows_safety_pairs_with_the_next_request(
    ada: User, mixed: list[Comparison], as_user: AsUser
) -> None:
    client = as_user(ada)
    assert client.get(NEXT, {"count": "4"}).json()["day"]["safety_waiting"] == 2
    assert post(client, {"consent": True}).json() == {"consent": True}
    answer = client.get(NEXT, {"count": "4"}).json()
    assert {item["focus"] for item in answer["items"]} == {"helpfulness", "safety"}
    assert answer["day"]["safety_waiting"] == 0


def test_withdrawing_gives_back_what_is_in_hand_and_leaves_what_was_judged(
    ben: User, mixed: list[Comparison], as_user: AsUser
) -> None:
    lease_next(annotator=ben, count=4)
    make_judgment(ben)
    assert post(as_user(ben), {"consent": False}).json() == {"consent": False}
    held = Lease.objects.filter(annotator=ben, comparison__focus=Focus.SAFETY)
    assert [lease.judged for lease in held] == [True]
    assert Judgment.objects.effective().filter(focus=Focus.SAFETY).count() == 1
    ben.refresh_from_db()
    assert focuses(lease_next(annotator=ben, count=4)) == {Focus.HELPFULNESS}


def test_what_was_given_back_waits_for_others_at_once(ben: User, pairs: Pairs) -> None:
    pairs(1, focus=Focus.SAFETY)
    lease_next(annotator=ben)
    set_safety_consent(annotator=ben, agreed=False)
    assert len(lease_next(annotator=make_user("cleo"))) == 1


def test_agreeing_again_after_withdrawing_is_possible(ben: User, pairs: Pairs) -> None:
    pairs(1, focus=Focus.SAFETY)
    lease_next(annotator=ben)
    for agreed in (False, True):
        set_safety_consent(annotator=ben, agreed=agreed)
    assert len(lease_next(annotator=ben)) == 1


def test_nobody_agrees_for_somebody_else(ada: User, ben: User, as_user: AsUser) -> None:
    post(as_user(ben), {"consent": False})
    post(as_user(ben), {"consent": True})
    ada.refresh_from_db()
    assert ada.safety_consent_at is None


@pytest.mark.parametrize("data", [{}, {"consent": "yes"}, {"consent": None}, {"consent": 1}])
def test_consent_is_yes_or_no(ada: User, as_user: AsUser, data: dict[str, Any]) -> None:
    answer = post(as_user(ada), data)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "consent"


def test_a_stranger_agrees_to_nothing(client: Client, db: None) -> None:
    assert post(client, {"consent": True}).status_code == 401


def test_simulated_annotators_judge_both_kinds(mixed: list[Comparison]) -> None:
    simulate_annotators(annotators=[ensure_simulated("one")], seed=1)
    assert {row.focus for row in Judgment.objects.all()} == set(Focus)
