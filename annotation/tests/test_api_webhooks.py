"""The addresses of webhooks: roles, scopes, what is shown, and that a secret is shown once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client

from annotation.core.events import Event
from annotation.core.scopes import Scope
from annotation.models import User, Webhook, WebhookDelivery
from annotation.services import calling
from annotation.services.tokens import make_token
from annotation.services.webhooks import announce, create_webhook

HOOKS = "/api/v1/webhooks"
URL = "https://hooks.example.org/margin"
Browser = Callable[[User], Client]


@pytest.fixture(autouse=True)
def looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every name leads to a public address."""
    monkeypatch.setattr(calling, "look_up", lambda host, port: ["1.1.1.1"])


@pytest.fixture
def rosas(as_user: Browser, rosa: User) -> Client:
    return as_user(rosa)


@pytest.fixture
def webhook(rosa: User) -> Webhook:
    return create_webhook(name="Trainer", url=URL, by=rosa)[0]


@pytest.fixture
def told(webhook: Webhook) -> WebhookDelivery:
    announce(Event.BATCH_SEALED, {"number": 1, "name": "Week 1"})
    return webhook.deliveries.get()


def post(client: Client, path: str, body: Any = None, **headers: str) -> Any:
    return client.post(f"{HOOKS}{path}", body or {}, content_type="application/json", headers=headers)


def test_a_webhook_is_added_and_its_secret_shown_once(rosas: Client) -> None:
    added = post(rosas, "", {"name": "Trainer", "url": URL, "events": ["batch.sealed"]})
    assert added.status_code == 201, added.content
    row = added.json()
    webhook = Webhook.objects.get()
    assert row.pop("secret") == webhook.secret
    assert row == rosas.get(f"{HOOKS}/{webhook.pk}").json() == rosas.get(HOOKS).json()["results"][0]
    assert (row["state"], row["events"], row["created_by"]) == ("on", ["batch.sealed"], "rosa")


def test_a_repeated_request_adds_nothing_and_shows_no_secret(rosas: Client) -> None:
    key = {"Idempotency-Key": str(uuid4())}
    body = {"name": "Trainer", "url": URL}
    first, again = post(rosas, "", body, **key), post(rosas, "", body, **key)
    assert (first.status_code, again.status_code) == (201, 201)
    assert Webhook.objects.count() == 1
    assert again["Idempotency-Replayed"] == "true"
    assert "secret" not in again.json()
    assert again.json() == {k: v for k, v in first.json().items() if k != "secret"}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": "Trainer", "url": URL, "events": ["run.started"]}, "events"),
        ({"name": "Trainer", "url": URL, "events": ["ping"]}, "events"),
        ({"name": "a\0b", "url": URL}, "name"),
        ({"url": URL}, "name"),
        ({"name": "Trainer", "url": URL, "secret": "mine"}, "secret"),
    ],
)
def test_a_body_that_will_not_do_is_refused_at_its_field(rosas: Client, body: Any, field: str) -> None:
    refused = post(rosas, "", body)
    assert refused.status_code == 422
    assert [error["field"].partition(".")[0] for error in refused.json()["errors"]] == [field]
    assert not Webhook.objects.exists()


@pytest.mark.parametrize("url", ["http://hooks.example.org/", "https://localhost:22/"])
def test_an_address_that_may_not_be_called_is_a_conflict_at_its_field(rosas: Client, url: str) -> None:
    refused = post(rosas, "", {"name": "Trainer", "url": url})
    assert (refused.status_code, refused.json()["code"]) == (409, "invalid-webhook")
    assert [error["field"] for error in refused.json()["errors"]] == ["url"]
    assert not Webhook.objects.exists()


def test_a_private_address_is_refused_with_a_sentence(rosas: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calling, "look_up", lambda host, port: ["10.0.0.5"])
    (error,) = post(rosas, "", {"name": "Trainer", "url": URL}).json()["errors"]
    assert error["reason"].startswith("It leads into a private network")


def test_only_what_is_given_changes(rosas: Client, webhook: Webhook) -> None:
    place = f"{HOOKS}/{webhook.pk}"
    changed = rosas.patch(place, {"active": False}, content_type="application/json")
    assert changed.status_code == 200
    assert (changed.json()["state"], changed.json()["name"]) == ("off", "Trainer")
    assert rosas.delete(place).status_code == 204
    assert rosas.get(place).status_code == 404


def test_a_new_secret_is_shown_once(rosas: Client, webhook: Webhook) -> None:
    key = {"Idempotency-Key": str(uuid4())}
    told, again = (post(rosas, f"/{webhook.pk}/secret", **key) for _ in range(2))
    old = webhook.secret
    webhook.refresh_from_db()
    assert told.json()["secret"] == webhook.secret != old
    assert webhook.old_secret == old
    assert again.json() == {"old_secret_ends_at": told.json()["old_secret_ends_at"]}
    shown = rosas.get(f"{HOOKS}/{webhook.pk}").content.decode()
    assert [secret for secret in (old, webhook.secret) if secret in shown] == []


def test_the_log_is_read_page_by_page_and_by_state(
    rosas: Client, webhook: Webhook, told: WebhookDelivery
) -> None:
    assert post(rosas, f"/{webhook.pk}/ping").status_code == 202
    log = f"{HOOKS}/{webhook.pk}/deliveries"
    page = rosas.get(log, {"page_size": 1}).json()
    assert [row["event"] for row in page["results"]] == ["ping"]
    (row,) = rosas.get(page["next"]).json()["results"]
    assert (row["uid"], row["state"], row["body"], row["replays"]) == (
        str(told.uid),
        "waiting",
        told.body,
        None,
    )
    assert row["due_at"] is not None
    assert rosas.get(log, {"state": "failed"}).json()["results"] == []
    assert rosas.get(log, {"webhook__secret__startswith": "w"}).status_code == 422


def test_a_delivery_is_replayed_once_it_has_ended(
    rosas: Client, webhook: Webhook, told: WebhookDelivery
) -> None:
    place = f"/{webhook.pk}/deliveries/{told.uid}/replay"
    assert post(rosas, place).status_code == 409
    WebhookDelivery.objects.update(state="failed")
    again = post(rosas, place)
    assert again.status_code == 202
    assert again.json()["replays"] == str(told.uid)
    assert post(rosas, f"/{webhook.pk}/deliveries/{uuid4()}/replay").status_code == 404
    other = Webhook.objects.create(name="Other", url=URL, secret="whsec_")
    assert post(rosas, f"/{other.pk}/deliveries/{told.uid}/replay").status_code == 404


def paths(webhook: Webhook) -> list[tuple[str, str]]:
    one = f"/{webhook.pk}"
    return [
        ("get", ""),
        ("post", ""),
        ("get", one),
        ("patch", one),
        ("delete", one),
        ("post", f"{one}/ping"),
        ("post", f"{one}/secret"),
        ("get", f"{one}/deliveries"),
        ("post", f"{one}/deliveries/{uuid4()}/replay"),
    ]


def test_nobody_below_a_researcher_comes_near(as_user: Browser, ada: User, webhook: Webhook) -> None:
    for client, status in ((as_user(ada), 403), (Client(), 401)):
        answers = [getattr(client, method)(HOOKS + path).status_code for method, path in paths(webhook)]
        assert set(answers) == {status}
    assert Webhook.objects.count() == 1


def test_a_token_needs_the_scope_of_webhooks_even_to_read(rosa: User, webhook: Webhook) -> None:
    _, weak = make_token(user=rosa, name="reader", scopes=[s for s in Scope if s is not Scope.WEBHOOKS_WRITE])
    _, able = make_token(user=rosa, name="hooks", scopes=[Scope.WEBHOOKS_WRITE])
    for method, path in paths(webhook):
        answer = getattr(Client(), method)(HOOKS + path, headers={"Authorization": f"Bearer {weak}"})
        assert answer.status_code == 403
    assert Client().get(HOOKS, headers={"Authorization": f"Bearer {able}"}).status_code == 200


def test_a_list_asks_the_database_little(
    rosas: Client, webhook: Webhook, rosa: User, django_assert_max_num_queries: Callable[..., Any]
) -> None:
    """Session and person, and one for all rows."""
    for _ in range(5):
        create_webhook(name="Trainer", url=URL, by=rosa)
    announce(Event.BATCH_SEALED, {"number": 1})
    rosas.get(HOOKS)
    with django_assert_max_num_queries(3):
        rosas.get(HOOKS)
    with django_assert_max_num_queries(4):
        rosas.get(f"{HOOKS}/{webhook.pk}/deliveries")
