"""Skips and flags over the API. Ada and Ben annotate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from annotation.core.passes import PassReason
from annotation.models import Batch, Comparison, Pass, User
from annotation.services.allocation import lease_next
from annotation.services.batches import seal_batch
from tests.factories import make_judgment

Pairs = Callable[..., list[Comparison]]
AsUser = Callable[[User], Client]
PASSES = "/api/v1/passes"


def body(comparison: Comparison | str, **fields: Any) -> dict[str, Any]:
    key = comparison if isinstance(comparison, str) else comparison.key
    return {"uid": str(uuid4()), "comparison": key, "reason": "not_my_field", **fields}


def post(client: Client, data: Any, path: str = PASSES) -> Any:
    return client.post(path, data, content_type="application/json")


def take_back(client: Client, uid: str) -> Any:
    return post(client, {"uid": str(uuid4())}, reverse("api:pass-retract", args=[uid]))


@pytest.fixture
def held(ada: User, pairs: Pairs) -> Comparison:
    """A pair in Ada's hands."""
    pairs(1)
    return lease_next(annotator=ada)[0]


def test_a_pass_sent_twice_is_stored_once(ada: User, held: Comparison, as_user: AsUser) -> None:
    client, data = as_user(ada), body(held)
    first, second = post(client, data), post(client, data)
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json()["uid"] == second.json()["uid"] == data["uid"]
    assert first.json()["stored_at"] == second.json()["stored_at"]
    assert Pass.objects.count() == 1


def test_a_pass_keeps_reason_comment_and_time(ada: User, held: Comparison, as_user: AsUser) -> None:
    post(as_user(ada), body(held, reason="unsafe", comment="  Names a dose. ", active_ms=4200))
    row = Pass.objects.get()
    assert (row.reason, row.comment, row.active_ms) == (PassReason.UNSAFE, "Names a dose.", 4200)


def test_a_skip_is_followed_by_another_pair(ada: User, pairs: Pairs, as_user: AsUser) -> None:
    first, second = pairs(2)
    client = as_user(ada)
    client.get("/api/v1/comparisons/next")
    post(client, body(first))
    assert [item["key"] for item in client.get("/api/v1/comparisons/next").json()["items"]] == [second.key]


def test_a_pass_is_taken_back_once(ada: User, held: Comparison, as_user: AsUser) -> None:
    client, data = as_user(ada), body(held)
    post(client, data)
    assert [take_back(client, data["uid"]).status_code for _ in range(2)] == [200, 200]
    assert client.get("/api/v1/comparisons/next").json()["items"][0]["key"] == held.key


def test_a_pass_taken_back_after_somebody_else_took_the_pair_says_so(
    ada: User, ben: User, held: Comparison, as_user: AsUser
) -> None:
    client, data = as_user(ada), body(held)
    post(client, data)
    lease_next(annotator=ben)
    answer = take_back(client, data["uid"])
    assert (answer.status_code, answer.json()["code"]) == (409, "lease-lost")


def test_ben_cannot_take_back_what_ada_passed_on(
    ada: User, ben: User, held: Comparison, as_user: AsUser
) -> None:
    data = body(held)
    post(as_user(ada), data)
    answer = take_back(as_user(ben), data["uid"])
    assert (answer.status_code, answer.json()["code"]) == (404, "not-found")
    assert Pass.objects.standing().exists()


def test_a_name_that_ada_used_is_refused_to_ben(
    ada: User, ben: User, held: Comparison, pairs: Pairs, as_user: AsUser
) -> None:
    pairs(1)
    data = body(held)
    post(as_user(ada), data)
    (for_ben,) = lease_next(annotator=ben)
    assert post(as_user(ben), body(for_ben, uid=data["uid"])).status_code == 409


def test_a_pair_of_somebody_else_says_that_the_lease_is_lost(
    held: Comparison, ben: User, as_user: AsUser
) -> None:
    answer = post(as_user(ben), body(held))
    assert (answer.status_code, answer.json()["code"]) == (409, "lease-lost")


def test_a_sealed_batch_says_so(ada: User, held: Comparison, week: Batch, as_user: AsUser) -> None:
    seal_batch(batch=week)
    answer = post(as_user(ada), body(held))
    assert (answer.status_code, answer.json()["code"]) == (409, "batch-sealed")


def test_a_judged_pair_is_not_skipped_and_can_be_flagged(ada: User, pairs: Pairs, as_user: AsUser) -> None:
    (comparison,) = pairs(1)
    make_judgment(ada)
    client = as_user(ada)
    refused = post(client, body(comparison))
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    assert post(client, body(comparison, reason="unsafe")).status_code == 201


def test_a_comparison_that_is_not_there_is_not_found(ada: User, as_user: AsUser) -> None:
    assert post(as_user(ada), body("0" * 32)).status_code == 404


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"reason": "boring"}, "reason"),
        ({"reason": None}, "reason"),
        ({"reason": ["unsafe"]}, "reason"),
        ({"uid": "1"}, "uid"),
        ({"comparison": "x"}, "comparison"),
        ({"comment": "x" * 4001}, "comment"),
        ({"comment": "nul \0"}, "comment"),
        ({"active_ms": -1}, "active_ms"),
        ({"handled_by": 1}, "handled_by"),
    ],
)
def test_a_wrong_field_is_named(
    ada: User, held: Comparison, as_user: AsUser, fields: dict[str, Any], field: str
) -> None:
    answer = post(as_user(ada), {**body(held), **fields})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-request")
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert not Pass.objects.exists()


@pytest.mark.parametrize("path", [PASSES, f"{PASSES}/{UUID(int=0)}/retract"])
def test_a_stranger_and_an_outsider_pass_nothing_on(otto: User, client: Client, path: str) -> None:
    client.force_login(otto)  # signs nobody in: the account is closed
    answer = post(client, body("0" * 32), path)
    assert (answer.status_code, answer.json()["code"]) == (401, "signed-out")


def test_a_pass_in_the_name_of_somebody_else_is_refused(ada: User, held: Comparison, as_user: AsUser) -> None:
    client = as_user(ada)
    answer = client.post(
        PASSES, body(held), content_type="application/json", headers={"X-Margin-Annotator": "annotator-ben"}
    )
    assert (answer.status_code, answer.json()["code"]) == (401, "other-person")


def test_a_skip_costs_as_many_queries_with_many_rows_as_with_few(
    ada: User, pairs: Pairs, as_user: AsUser, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    comparisons = pairs(40)
    lease_next(annotator=ada)
    client = as_user(ada)
    # Session, user, the same name before, the pair, its week, the pair locked, its lease found and given up, the row,
    # and two savepoints about the lot.
    with django_assert_max_num_queries(12):
        assert post(client, body(comparisons[0])).status_code == 201
