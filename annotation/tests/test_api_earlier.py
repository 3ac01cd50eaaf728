"""A person's own earlier judgments, over the API. Ada and Ben annotate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from annotation.core.grades import Focus
from annotation.models import Batch, Comparison, Judgment, User
from annotation.services.batches import seal_batch
from annotation.services.judgments import retract_judgment
from tests.factories import make_judgment

Pairs = Callable[..., list[Comparison]]
AsUser = Callable[[User], Client]
LAST, NEXT, JUDGMENTS = "/api/v1/me/judgments/last", "/api/v1/comparisons/next", "/api/v1/judgments"


def say(client: Client, **fields: Any) -> dict[str, Any]:
    """Judge the next pair over the API, and what the page then knows of it."""
    item = client.get(NEXT).json()["items"][0]
    data = {"uid": str(uuid4()), "comparison": item["key"], "side": "left", "grade": "better", **fields}
    assert client.post(JUDGMENTS, data, content_type="application/json").status_code == 201
    return {"item": item, "data": data}


def one(client: Client, uid: object) -> Any:
    return client.get(reverse("api:own-judgment", args=[uid]))


@pytest.mark.parametrize("side", ["left", "right"])
def test_the_last_judgment_comes_as_it_was_seen_and_said(
    ada: User, pairs: Pairs, as_user: AsUser, side: str
) -> None:
    pairs(6)  # of which some stand one way round and some the other
    client = as_user(ada)
    for _ in range(6):
        said = say(client, side=side, grade="slightly_better", comment="Close.", active_ms=1200)
        answer = client.get(LAST).json()
        assert {**answer["item"], "expires_at": None} == {**said["item"], "expires_at": None}
        assert answer["answer"] == {
            "uid": said["data"]["uid"],
            "side": side,
            "grade": "slightly_better",
            "safety": None,
            "comment": "Close.",
            "active_ms": 1200,
        }
        assert one(client, said["data"]["uid"]).json() == answer


def test_a_safety_judgment_comes_with_its_label(ada: User, pairs: Pairs, as_user: AsUser) -> None:
    pairs(1, focus=Focus.SAFETY)
    client = as_user(ada)
    say(client, safety="chosen_safe")
    assert client.get(LAST).json()["answer"]["safety"] == "chosen_safe"


def test_before_the_first_judgment_there_is_none(ada: User, pairs: Pairs, as_user: AsUser) -> None:
    pairs(1)
    assert as_user(ada).get(LAST).json() == {"item": None}


def test_bens_judgments_are_not_adas(ada: User, ben: User, pairs: Pairs, as_user: AsUser) -> None:
    pairs(1)
    row = make_judgment(ben)
    assert as_user(ada).get(LAST).json() == {"item": None}
    answer = one(as_user(ada), row.uid)
    assert (answer.status_code, answer.json()["code"]) == (404, "not-found")


def test_what_was_taken_back_is_not_the_last(ada: User, pairs: Pairs, as_user: AsUser) -> None:
    pairs(2)
    before, taken_back = make_judgment(ada), make_judgment(ada)
    retract_judgment(annotator=ada, uid=taken_back.uid)
    client = as_user(ada)
    assert client.get(LAST).json()["answer"]["uid"] == str(before.uid)
    assert one(client, taken_back.uid).status_code == 404


def test_changing_a_judgment_is_judging_again_under_a_new_name(
    ada: User, pairs: Pairs, as_user: AsUser
) -> None:
    pairs(1)
    client = as_user(ada)
    said = say(client)
    again = {**said["data"], "uid": str(uuid4()), "side": "right", "comment": "Read it twice."}
    assert client.post(JUDGMENTS, again, content_type="application/json").status_code == 201
    assert (Judgment.objects.count(), Judgment.objects.effective().count()) == (2, 1)
    answer = client.get(LAST).json()["answer"]
    assert (answer["uid"], answer["side"], answer["comment"]) == (again["uid"], "right", "Read it twice.")
    assert one(client, said["data"]["uid"]).status_code == 404


def test_a_sealed_week_is_not_opened_again(ada: User, week: Batch, pairs: Pairs, as_user: AsUser) -> None:
    pairs(1)
    row = make_judgment(ada)
    seal_batch(batch=week)
    client = as_user(ada)
    assert client.get(LAST).json() == {"item": None}
    answer = one(client, row.uid)
    assert (answer.status_code, answer.json()["code"]) == (409, "batch-sealed")


def test_nothing_in_the_answer_tells_where_a_response_came_from(
    ada: User, pairs: Pairs, as_user: AsUser
) -> None:
    pairs(1, policy="policy-zebra")
    make_judgment(ada)
    text = as_user(ada).get(LAST).content.decode()
    for word in ("zebra", "temperature", "seed", "response_a", "choice", "policy"):
        assert word not in text


def test_an_old_judgment_costs_three_queries_however_many_there_are(
    ada: User, pairs: Pairs, as_user: AsUser, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    pairs(20)
    rows = [make_judgment(ada) for _ in range(20)]
    client = as_user(ada)
    with django_assert_num_queries(3):  # session, user, the judgment with all that is shown of it
        client.get(LAST)
    with django_assert_num_queries(3):
        one(client, rows[0].uid)


@pytest.mark.parametrize("path", [LAST, f"{JUDGMENTS}/{UUID(int=0)}"])
def test_a_stranger_sees_no_judgment(client: Client, db: None, path: str) -> None:
    assert client.get(path).status_code == 401
