"""The admin's pages of webhooks: Rosa adds, tests, changes and replays; Ada does not get in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from annotation.admin.webhooks import LOG_LENGTH, WebhookForm
from annotation.core.events import Event
from annotation.models import User, Webhook, WebhookDelivery
from annotation.services import calling
from annotation.services.webhooks import announce, create_webhook
from annotation.webhooks import STUCK
from tests.factories import form_data

URL = "https://hooks.example.org/margin"
AsUser = Callable[[User], Client]


@pytest.fixture(autouse=True)
def looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every name leads to a public address."""
    monkeypatch.setattr(calling, "look_up", lambda host, port: ["1.1.1.1"])


@pytest.fixture
def rosas(as_user: AsUser, rosa: User) -> Client:
    return as_user(rosa)


@pytest.fixture
def webhook(rosa: User) -> Webhook:
    return create_webhook(name="Trainer", url=URL, by=rosa)[0]


@pytest.fixture
def told(webhook: Webhook) -> WebhookDelivery:
    announce(Event.BATCH_SEALED, {"name": "<script>alert(1)</script>"})
    return webhook.deliveries.get()


def at(name: str, *arguments: object) -> str:
    return reverse(f"admin:annotation_webhook_{name}", args=arguments)


def page(client: Client, name: str, *arguments: object, **query: Any) -> str:
    answer = client.get(at(name, *arguments), query)
    assert answer.status_code == 200
    return answer.content.decode()


def test_rosa_adds_one_and_sees_its_secret_once(rosas: Client) -> None:
    assert "There are none yet" in page(rosas, "changelist")
    answer = rosas.post(at("add"), form_data(WebhookForm(), name="Trainer", url=URL, events=["batch.sealed"]))
    webhook = Webhook.objects.get()
    assert webhook.secret in answer.content.decode()
    assert "no-store" in answer["Cache-Control"]
    shown = [page(rosas, "changelist"), page(rosas, "change", webhook.pk), page(rosas, "edit", webhook.pk)]
    assert not any(webhook.secret in text for text in shown)
    assert "A week is frozen" in shown[1]
    assert "There are none yet" not in shown[0]


def test_what_cannot_be_called_is_said_at_its_field(rosas: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calling, "look_up", lambda host, port: ["10.0.0.5"])
    answer = rosas.post(at("add"), form_data(WebhookForm(), name="Trainer", url=URL))
    assert "It leads into a private network" in answer.context["form"].errors["url"][0]
    assert not Webhook.objects.exists()


def test_changing_switching_and_deleting(rosas: Client, webhook: Webhook) -> None:
    rosas.post(at("edit", webhook.pk), form_data(WebhookForm(), name="Other", url=URL, events=["run.failed"]))
    rosas.post(at("off", webhook.pk))
    webhook.refresh_from_db()
    assert (webhook.name, webhook.events, webhook.active) == ("Other", ["run.failed"], False)
    assert "Somebody switched it off." in page(rosas, "change", webhook.pk)
    rosas.post(at("on", webhook.pk))
    old = webhook.secret
    answer = rosas.post(at("secret", webhook.pk))
    webhook.refresh_from_db()
    assert "the one before signs too" in page(rosas, "change", webhook.pk)
    assert webhook.active
    assert webhook.secret != old
    assert webhook.secret in answer.content.decode()
    rosas.post(at("remove", webhook.pk))
    assert not Webhook.objects.exists()


def test_a_test_and_a_replay_stand_in_the_log(rosas: Client, webhook: Webhook, told: WebhookDelivery) -> None:
    rosas.post(at("ping", webhook.pk))
    assert webhook.deliveries.latest("pk").event == "ping"
    refused = rosas.post(at("replay", webhook.pk, told.uid), follow=True)
    assert "still under way" in refused.content.decode()
    WebhookDelivery.objects.update(state="failed", error="It answered 500 where 2xx was expected.")
    rosas.post(at("replay", webhook.pk, told.uid))
    assert webhook.deliveries.latest("pk").replays == told
    text = page(rosas, "change", webhook.pk)
    assert "It answered 500" in text
    assert "<script>alert(1)" not in text
    other = Webhook.objects.create(name="Other", url=URL, secret="whsec_")
    assert rosas.post(at("replay", other.pk, told.uid)).status_code == 404


def test_a_state_is_a_sentence(rosas: Client, webhook: Webhook, told: WebhookDelivery) -> None:
    assert "Nothing was delivered yet" in page(rosas, "change", webhook.pk)
    WebhookDelivery.objects.update(due_at=timezone.now() - 2 * STUCK)
    assert "Is a worker running?" in page(rosas, "change", webhook.pk)
    WebhookDelivery.objects.update(state="delivered", delivered_at=timezone.now(), status=204, took_ms=5)
    text = page(rosas, "change", webhook.pk)
    assert "Last delivered" in text
    assert "Is a worker running?" not in text
    Webhook.objects.update(failing_since=timezone.now())
    assert "What waits is tried again" in page(rosas, "change", webhook.pk)
    Webhook.objects.update(active=False, pause_reason="It answered 410.")
    assert "It answered 410." in page(rosas, "change", webhook.pk)


def test_a_long_log_comes_in_pages(
    rosas: Client, webhook: Webhook, django_assert_max_num_queries: Callable[..., Any]
) -> None:
    for number in range(LOG_LENGTH + 2):
        announce(Event.BATCH_SEALED, {"name": f"W{number}."})
    with django_assert_max_num_queries(10):
        newest = page(rosas, "change", webhook.pk)
    oldest_shown = webhook.deliveries.order_by("-pk")[LOG_LENGTH - 1]
    assert f"?before={oldest_shown.pk}" in newest
    assert "W2." in newest
    assert "W1." not in newest
    older = page(rosas, "change", webhook.pk, before=oldest_shown.pk)
    assert "W1." in older
    assert "W0." in older
    assert "W2." not in older
    assert "Newest" in older
    assert page(rosas, "change", webhook.pk, before="x' OR 1")


def test_reading_changes_nothing_and_ada_does_not_get_in(
    rosas: Client, as_user: AsUser, ada: User, webhook: Webhook, told: WebhookDelivery
) -> None:
    deeds = [at(name, webhook.pk) for name in ("ping", "on", "off", "secret")]
    deeds.append(at("replay", webhook.pk, told.uid))
    assert {rosas.get(deed).status_code for deed in deeds} == {405}
    adas = as_user(ada)
    others = [at("changelist"), at("add"), *(at(name, webhook.pk) for name in ("change", "edit", "remove"))]
    assert {adas.post(deed).status_code for deed in deeds} <= {302, 403}
    assert {adas.get(other).status_code for other in others} <= {302, 403}
    before = webhook.secret
    webhook.refresh_from_db()
    assert (webhook.secret, webhook.deliveries.count()) == (before, 1)
