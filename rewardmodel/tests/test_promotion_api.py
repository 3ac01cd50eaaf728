"""Promotion through the API. Rosa researches, Ada annotates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from annotation.core.scopes import Scope
from annotation.models import User
from annotation.services.tokens import make_token
from rewardmodel.api.promotions import STANDING
from rewardmodel.api.shown import EXAMPLE
from rewardmodel.models import Promotion, RewardModelVersion
from rewardmodel.tests.promoted import trained

pytestmark = pytest.mark.django_db

AsUser = Callable[[User], Client]


@pytest.fixture
def client(as_user: AsUser, rosa: User) -> Client:
    """Rosa's browser."""
    return as_user(rosa)


def get(client: Client, path: str, **query: Any) -> Any:
    return client.get(f"/api/v1/reward-models{path}", query).json()


def promote(client: Client, version: RewardModelVersion, body: Any = None, **headers: str) -> Any:
    address = f"/api/v1/reward-models/{version.pk}/promotion"
    return client.post(address, body or {}, content_type="application/json", headers=headers)


def roll_back(client: Client, version: RewardModelVersion) -> Any:
    return client.post(f"/api/v1/reward-models/{version.pk}/roll-back")


def test_versions_say_whether_they_are_current_and_how_they_became_so(client: Client) -> None:
    first = trained("h1")
    second = trained("h2", against=first, drawn=40)
    shown = {row["name"]: row for row in get(client, "")["results"]}
    assert (shown["h1"]["current"], shown["h2"]["current"]) == (False, True)
    assert shown["h1"]["promotion"]["how"] == "first"
    assert shown["h2"]["promotion"] == {
        "version": {"id": second.pk, "name": "h2"},
        "how": "rule",
        "reason": "",
        "by": None,
        "previous": {"id": first.pk, "name": "h1"},
        "created_at": shown["h2"]["promotion"]["created_at"],
    }
    assert list(shown["h2"]) == list(EXAMPLE)


def test_the_current_ones_are_found(client: Client) -> None:
    first = trained("h1")
    trained("h2", against=first, lost=40)
    assert [row["name"] for row in get(client, "", current="true")["results"]] == ["h1"]
    assert [row["name"] for row in get(client, "", current="false")["results"]] == ["h2"]
    assert get(client, "", current="false", fields="name,promotion")["results"] == [
        {"name": "h2", "promotion": None}
    ]


def test_a_version_says_where_it_stands_grade_by_grade(client: Client) -> None:
    first = trained("h1")
    second = trained("h2", against=first, lost=40)
    shown = get(client, f"/{second.pk}/promotion")
    assert list(shown) == list(STANDING)
    assert (shown["current"], shown["passes"], shown["compared_by"]) == (False, False, "training")
    assert (shown["against"], shown["snapshot"]) == ({"id": first.pk, "name": "h1"}, "week-1")
    assert [row["grade"] for row in shown["grades"]] == ["better", "all grades"]
    assert shown["grades"][0]["finding"] == "worse"
    assert [row["version"]["name"] for row in shown["history"]] == ["h1"]


def test_the_current_one_says_what_its_promotion_rested_on(client: Client) -> None:
    second = trained("h2", against=trained("h1"), drawn=40)
    shown = get(client, f"/{second.pk}/promotion")
    assert (shown["current"], shown["against"]["name"], shown["passes"]) == (True, "h1", False)
    assert shown["grades"][-1]["pairs"] == 40


def test_one_that_was_not_compared_has_no_grades(client: Client) -> None:
    trained("h1")
    shown = get(client, f"/{trained('h2').pk}/promotion")
    assert (shown["grades"], shown["compared_by"], shown["snapshot"]) == ([], "", "")


def test_what_passes_is_promoted(client: Client) -> None:
    first = trained("h1")
    second = trained("h2", against=first, drawn=40)
    assert roll_back(client, second).json()["name"] == "h1"
    answer = promote(client, second, {"reason": "Once more."})
    assert answer.status_code == 200
    assert (answer.json()["current"], answer.json()["promotion"]["reason"]) == (True, "Once more.")
    assert answer.json()["promotion"]["by"] == "rosa"


def test_what_does_not_pass_is_a_conflict_that_says_why(client: Client) -> None:
    second = trained("h2", against=trained("h1"), lost=40)
    answer = promote(client, second)
    assert (answer.status_code, answer.json()["code"]) == (409, "not-promoted")
    assert "worse beyond the interval" in answer.json()["detail"]


def test_an_override_wants_its_reason(client: Client) -> None:
    trained("h1")
    second = trained("h2")
    answer = promote(client, second, {"override": True})
    assert (answer.status_code, answer.json()["code"]) == (409, "invalid-reason")
    assert answer.json()["errors"][0]["field"] == "reason"
    answer = promote(client, second, {"override": True, "reason": "It knows the new weeks."})
    assert answer.json()["promotion"]["how"] == "override"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"override": "yes"}, "override"),
        ({"reason": 3}, "reason"),
        ({"reason": "x" * 1001}, "reason"),
        ({"reason": "a\0b"}, "reason"),
        ({"why": "x"}, "why"),
    ],
    ids=["word", "number", "long", "nul", "unknown"],
)
def test_a_body_of_another_shape_is_refused(client: Client, body: Any, field: str) -> None:
    trained("h1")
    answer = promote(client, trained("h2"), body)
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert Promotion.objects.count() == 1


def test_the_same_request_twice_promotes_once(client: Client) -> None:
    trained("h1")
    second = trained("h2")
    body = {"override": True, "reason": "Now."}
    answers = [promote(client, second, body, **{"Idempotency-Key": "k1"}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].content == answers[1].content
    assert Promotion.objects.count() == 2


def test_rolling_back_what_is_not_current_is_a_conflict(client: Client) -> None:
    first = trained("h1")
    second = trained("h2", against=first, drawn=40)
    assert roll_back(client, first).status_code == 409
    assert roll_back(client, second).status_code == 200
    assert "nothing to go back to" in roll_back(client, first).json()["detail"]


def test_only_researchers_see_and_decide(as_user: AsUser, ada: User) -> None:
    first = trained("h1")
    client = as_user(ada)
    assert client.get(f"/api/v1/reward-models/{first.pk}/promotion").status_code == 403
    assert promote(client, first).status_code == 403
    assert roll_back(client, first).status_code == 403


def test_a_token_needs_the_scope_to_decide(rosa: User) -> None:
    first = trained("h1")
    second = trained("h2", against=first, drawn=40)
    for scope, status in ((Scope.MODELS_READ, 403), (Scope.RUNS_WRITE, 200)):
        _, text = make_token(user=rosa, name=scope, scopes=[scope])
        address = f"/api/v1/reward-models/{second.pk}/roll-back"
        assert Client().post(address, headers={"Authorization": f"Bearer {text}"}).status_code == status


@pytest.mark.parametrize("path", ["promotion", "roll-back"])
def test_what_is_not_there_is_not_found(client: Client, path: str) -> None:
    answer = client.post(f"/api/v1/reward-models/99/{path}", {}, content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (404, "not-found")
