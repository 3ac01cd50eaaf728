"""What the annotator's page may ask and send. Ada and Ben annotate, Rosa researches, Otto is an outsider."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from annotation.api.lean import BODY_LIMIT
from annotation.core.grades import Choice, Focus
from annotation.core.ordering import left_choice
from annotation.models import Batch, Comparison, Judgment, User
from annotation.queries import guidelines_in_force
from annotation.services.batches import seal_batch
from annotation.services.guidelines import install_default_guidelines

Pairs = Callable[..., list[Comparison]]
AsUser = Callable[[User], Client]
NEXT, JUDGMENTS = "/api/v1/comparisons/next", "/api/v1/judgments"


def body(pair: Comparison | str, **fields: Any) -> dict[str, Any]:
    key = pair if isinstance(pair, str) else pair.key
    return {"uid": str(uuid4()), "comparison": key, "side": "left", "grade": "better", **fields}


def post(client: Client, data: Any, path: str = JUDGMENTS) -> Any:
    return client.post(path, data, content_type="application/json")


def first_pair(client: Client) -> dict[str, Any]:
    items: list[dict[str, Any]] = client.get(NEXT).json()["items"]
    return items[0]


def test_the_next_pairs_come_with_their_dialogue_and_two_sides(
    ada: User, pairs: Pairs, as_user: AsUser
) -> None:
    (comparison, *_) = pairs(4)
    answer = as_user(ada).get(NEXT, {"count": "3"}).json()
    assert len(answer["items"]) == 3
    item = answer["items"][0]
    assert item["key"] == comparison.key
    assert set(item) == {"key", "batch", "focus", "turns", "left", "right", "expires_at"}
    assert item["turns"][-1]["html"].startswith('<p dir="auto">Question 1.0')
    sides = item["left"]["html"] + item["right"]["html"]
    assert "A first answer to 0." in sides
    assert "Another answer to 0!" in sides
    assert answer["day"] == {
        "today": 0,
        "batch": 0,
        "waiting": {"helpfulness": 4, "safety": 0},
        "safety_waiting": 0,
        "open": True,
        "paused": "",
        "target": 0,
        "stock": 3,
    }


def test_nothing_in_the_answer_tells_where_a_response_came_from(
    ada: User, pairs: Pairs, as_user: AsUser
) -> None:
    comparisons = pairs(3, policy="policy-zebra")
    text = as_user(ada).get(NEXT, {"count": "3"}).content.decode()
    for comparison in comparisons:
        for response in (comparison.response_a, comparison.response_b):
            assert response.key not in text
            assert f'"{response.pk}"' not in text
    for word in ("zebra", "temperature", "seed", "response_a", ": 0.7", "policy", "run"):
        assert word not in text


def test_the_side_on_the_screen_is_the_seeded_one_and_maps_back_to_it(
    ada: User, pairs: Pairs, as_user: AsUser
) -> None:
    client = as_user(ada)
    comparisons = {c.key: c for c in pairs(6)}
    seen = set()
    for _ in comparisons:
        item = first_pair(client)
        comparison = comparisons[item["key"]]
        left = left_choice(seed=comparison.batch.seed, comparison=comparison.key, annotator=ada.pseudonym)
        response = comparison.response_a if left is Choice.A else comparison.response_b
        assert response.text in item["left"]["html"]
        post(client, body(item["key"], side="right"))
        stored = Judgment.objects.get(comparison=comparison)
        assert (stored.choice, stored.left) == (left.other, left)
        seen.add(left)
    assert seen == {Choice.A, Choice.B}


def test_the_same_judgment_sent_twice_is_stored_once(ada: User, pairs: Pairs, as_user: AsUser) -> None:
    client = as_user(ada)
    data = body(pairs(1)[0])
    client.get(NEXT)
    assert [post(client, data).status_code for _ in range(2)] == [201, 200]
    assert Judgment.objects.count() == 1


def test_a_judgment_keeps_comment_time_and_the_version_of_the_guidelines(
    ada: User, pairs: Pairs, as_user: AsUser
) -> None:
    install_default_guidelines()
    client = as_user(ada)
    (comparison,) = pairs(1)
    client.get(NEXT)
    version = guidelines_in_force()[0].pk
    post(client, body(comparison, comment="  Close. ", active_ms=4200, guideline=version))
    stored = Judgment.objects.get()
    assert (stored.comment, stored.active_ms, str(stored.guideline)) == ("Close.", 4200, "helpfulness v1")


def test_a_judgment_can_be_taken_back_once(ada: User, pairs: Pairs, as_user: AsUser) -> None:
    client = as_user(ada)
    data = body(pairs(1)[0])
    client.get(NEXT)
    post(client, data)
    path = reverse("api:retract", args=[data["uid"]])
    retraction = {"uid": str(uuid4())}
    assert [post(client, retraction, path).status_code for _ in range(2)] == [201, 200]
    assert first_pair(client)["key"] == data["comparison"]
    assert not Judgment.objects.effective().exists()


def test_ben_cannot_take_back_what_ada_said(ada: User, ben: User, pairs: Pairs, as_user: AsUser) -> None:
    data = body(pairs(1)[0])
    as_user(ada).get(NEXT)
    post(as_user(ada), data)
    answer = post(as_user(ben), {"uid": str(uuid4())}, reverse("api:retract", args=[data["uid"]]))
    assert (answer.status_code, answer.json()["code"]) == (404, "not-found")


@pytest.mark.parametrize("path", [NEXT, JUDGMENTS, "/api/v1/snapshots", "/api/v1/schema"])
def test_a_stranger_gets_a_problem_and_no_redirect(db: None, client: Client, path: str) -> None:
    answer = post(client, {}) if path == JUDGMENTS else client.get(path)
    assert (answer.status_code, answer["Content-Type"]) == (401, "application/problem+json")
    assert answer.json()["code"] == "signed-out"
    assert answer["WWW-Authenticate"] == 'Bearer realm="Margin"'


def test_a_late_signed_out_answer_does_not_undo_a_new_sign_in(ada: User, as_user: AsUser) -> None:
    client = as_user(ada)
    client.session.delete()
    answer = client.get(NEXT)
    assert answer.status_code == 401
    # The browser may have got a new cookie in another tab since this was asked.
    assert settings.SESSION_COOKIE_NAME not in answer.cookies


def test_otto_whose_account_is_switched_off_is_a_stranger(otto: User, as_user: AsUser) -> None:
    assert as_user(otto).get(NEXT).status_code == 401


def test_rosa_may_rate_too(rosa: User, pairs: Pairs, as_user: AsUser) -> None:
    pairs(1)
    assert len(as_user(rosa).get(NEXT).json()["items"]) == 1


def test_work_of_ada_is_not_stored_as_bens(ada: User, ben: User, pairs: Pairs, as_user: AsUser) -> None:
    client = as_user(ben)
    (comparison,) = pairs(1)
    client.get(NEXT)
    answer = client.post(
        JUDGMENTS,
        body(comparison),
        content_type="application/json",
        headers={"X-Margin-Annotator": ada.pseudonym},
    )
    assert (answer.status_code, answer.json()["code"]) == (401, "other-person")
    assert not Judgment.objects.exists()


def test_a_request_without_the_csrf_token_is_refused(ada: User, pairs: Pairs) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(ada)
    answer = post(client, body(pairs(1)[0]))
    assert (answer.status_code, answer["Content-Type"]) == (403, "application/problem+json")
    assert answer.json()["code"] == "csrf"


def test_the_fourth_bin_is_refused_with_the_reason(ada: User, pairs: Pairs, as_user: AsUser) -> None:
    client = as_user(ada)
    (comparison,) = pairs(1, focus=Focus.SAFETY)
    client.get(NEXT)
    answer = post(client, body(comparison, safety="other_safe"))
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-judgment")
    assert "unsafe while the other is safe" in answer.json()["detail"]
    assert answer.json()["errors"][0]["field"] == "safety"
    assert not Judgment.objects.exists()


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"side": "middle"}, "side"),
        ({"side": None}, "side"),
        ({"grade": "excellent"}, "grade"),
        ({"safety": "fine"}, "safety"),
        ({"safety": True}, "safety"),
        ({"uid": "1"}, "uid"),
        ({"uid": 7}, "uid"),
        ({"comparison": "../../etc/passwd"}, "comparison"),
        ({"comparison": ["a"]}, "comparison"),
        ({"comment": "x" * 4001}, "comment"),
        ({"comment": "nul \0"}, "comment"),
        ({"comment": {"$ne": ""}}, "comment"),
        ({"active_ms": -1}, "active_ms"),
        ({"active_ms": 2**31}, "active_ms"),
        ({"active_ms": 1.5}, "active_ms"),
        ({"active_ms": "7"}, "active_ms"),
        ({"guideline": 2**63}, "guideline"),
        ({"choice": "a"}, "choice"),
        ({"annotator__is_staff": True}, "annotator__is_staff"),
    ],
)
def test_a_wrong_field_is_named(
    ada: User, pairs: Pairs, as_user: AsUser, fields: dict[str, Any], field: str
) -> None:
    answer = post(as_user(ada), body(pairs(1)[0], **fields))
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-request")
    assert [error["field"] for error in answer.json()["errors"]] == [field]


@pytest.mark.parametrize("text", [" ", "{", "[]", "null", '"x"', "\x00", '{"uid": "\\ud800"}', "[" * 5000])
def test_a_body_that_is_no_object_is_refused(ada: User, as_user: AsUser, text: str) -> None:
    assert post(as_user(ada), text).status_code == 422


def test_a_body_that_is_too_long_is_refused(ada: User, as_user: AsUser) -> None:
    answer = post(as_user(ada), {"comment": "x" * BODY_LIMIT})
    assert (answer.status_code, answer.json()["code"]) == (413, "too-large")


def test_a_form_is_refused(ada: User, as_user: AsUser) -> None:
    answer = as_user(ada).post(JUDGMENTS, {"side": "left"})
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported-media-type")


def test_a_wrong_method_is_named(ada: User, as_user: AsUser) -> None:
    answer = as_user(ada).get("/api/v1/passes")
    assert (answer.status_code, answer["Allow"]) == (405, "POST")


@pytest.mark.parametrize(
    "query",
    [{"count": "0"}, {"count": "11"}, {"count": "x"}, {"count": "²"}, {"count": "1e9"}, {"skip": "abc"}],
)
def test_a_wrong_parameter_is_named(ada: User, as_user: AsUser, query: dict[str, str]) -> None:
    answer = as_user(ada).get(NEXT, query)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == next(iter(query))


def test_pairs_that_the_browser_has_are_not_sent_again(ada: User, pairs: Pairs, as_user: AsUser) -> None:
    client = as_user(ada)
    first, second = (c.key for c in pairs(2))
    client.get(NEXT)
    assert [item["key"] for item in client.get(NEXT, {"skip": first}).json()["items"]] == [second]


def test_a_sealed_batch_says_so(ada: User, week: Batch, pairs: Pairs, as_user: AsUser) -> None:
    client = as_user(ada)
    (comparison,) = pairs(1)
    client.get(NEXT)
    seal_batch(batch=week)
    answer = post(client, body(comparison))
    assert (answer.status_code, answer.json()["code"]) == (409, "batch-sealed")
    after = client.get(NEXT).json()
    assert (after["items"], after["day"]["open"]) == ([], False)


def test_a_pair_of_somebody_else_says_that_the_lease_is_lost(
    ada: User, ben: User, pairs: Pairs, as_user: AsUser
) -> None:
    (comparison,) = pairs(1)
    as_user(ada).get(NEXT)
    answer = post(as_user(ben), body(comparison))
    assert (answer.status_code, answer.json()["code"]) == (409, "lease-lost")


def test_a_comparison_that_is_not_there_is_not_found(ada: User, as_user: AsUser) -> None:
    assert post(as_user(ada), body("0" * 32)).status_code == 404


def test_a_broken_server_shows_no_traceback(
    ada: User, as_user: AsUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(**_: object) -> None:
        raise RuntimeError("the password is hunter2")

    monkeypatch.setattr("annotation.api.workbench.lease_next", explode)
    answer = as_user(ada).get(NEXT)
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert "hunter2" not in answer.content.decode()


def test_answers_are_kept_by_no_cache(ada: User, as_user: AsUser) -> None:
    assert "no-store" in as_user(ada).get(NEXT)["Cache-Control"]


def test_asking_for_pairs_in_hand_costs_five_queries_however_many_there_are(
    ada: User, pairs: Pairs, as_user: AsUser, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    # Session, user, leased pairs, their expiries, the guidelines in force. A key to skip: a page that has begun, so
    # no counts.
    client = as_user(ada)
    pairs(30)
    skip = "0" * 32
    client.get(NEXT, {"count": "3", "skip": skip})
    with django_assert_num_queries(5):
        client.get(NEXT, {"count": "3", "skip": skip})


def test_a_judgment_costs_as_many_queries_with_many_rows_as_with_few(
    ada: User, pairs: Pairs, as_user: AsUser, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    client = as_user(ada)
    comparisons = pairs(40)
    client.get(NEXT)
    # Session and user, the seed, and what the service does in its transaction.
    with django_assert_max_num_queries(17):
        assert post(client, body(comparisons[0])).status_code == 201
