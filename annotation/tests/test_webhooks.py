"""Who is told what: webhooks as rows, and what the house's deeds write down for them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from celery import current_app
from django.conf import settings
from django.db import connection, transaction
from standardwebhooks.webhooks import WebhookVerificationError

from annotation import tasks
from annotation.core.deliveries import sign
from annotation.core.events import CHOICES, EXAMPLES, SENTENCES, Event, example
from annotation.core.states import DeliveryState
from annotation.errors import ConflictError, InvalidWebhookError
from annotation.models import AuditEvent, Batch, Snapshot, User, Webhook, WebhookDelivery
from annotation.services import calling, webhooks
from annotation.services.batches import create_batch, open_batch, seal_batch
from annotation.services.snapshot_writing import told_of
from annotation.services.webhooks import (
    announce,
    change_webhook,
    create_webhook,
    delete_webhook,
    ping_webhook,
    replay_delivery,
    rotate_secret,
)

URL = "https://hooks.example.org/margin?key=abc"


@pytest.fixture(autouse=True)
def looked_up(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every name leads to a public address; names are kept."""
    names: list[str] = []

    def answer(host: str, port: int) -> list[str]:
        names.append(host)
        return ["1.1.1.1"]

    monkeypatch.setattr(calling, "look_up", answer)
    return names


@pytest.fixture
def woken(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Tasks that were sent to the broker, which tests do not have."""
    sent: list[str] = []
    monkeypatch.setattr(current_app, "send_task", lambda name, **_: sent.append(name))
    return sent


@pytest.fixture
def webhook(rosa: User) -> Webhook:
    return create_webhook(name="Trainer", url=URL, by=rosa)[0]


def last_told(webhook: Webhook) -> tuple[str, dict[str, Any]]:
    delivery = webhook.deliveries.latest("pk")
    body = json.loads(delivery.body)
    assert body["type"] == delivery.event
    return delivery.event, body["data"]


def test_every_event_has_its_sentence_and_its_example() -> None:
    assert set(SENTENCES) == set(EXAMPLES) == set(Event)
    assert set(CHOICES) == set(Event) - {Event.PING}


def test_a_new_webhook_has_a_secret_of_its_own(rosa: User) -> None:
    first, secret = create_webhook(name=" Trainer ", url=f" {URL} ", by=rosa)
    second, other = create_webhook(name="Trainer", url=URL, events=[Event.RUN_FAILED], by=rosa)
    assert secret.startswith("whsec_")
    assert secret != other
    assert (first.name, first.url, first.events, first.secret) == ("Trainer", URL, [], secret)
    assert second.events == ["run.failed"]
    event = AuditEvent.objects.get(action="webhook.added", object_id=str(first.pk))
    assert event.detail == {"host": "hooks.example.org", "events": []}


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"name": " "}, "name"),
        ({"name": "a" * 101}, "name"),
        ({"name": "two\nlines"}, "name"),
        ({"url": "http://hooks.example.org/"}, "url"),
        ({"url": "https://127.0.0.1/"}, "url"),
        ({"url": ""}, "url"),
        ({"events": ["run.started"]}, "events"),
        ({"events": ["ping"]}, "events"),
    ],
)
def test_what_cannot_be_a_webhook_is_refused_at_its_field(
    rosa: User, webhook: Webhook, given: dict[str, Any], field: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calling, "look_up", lambda host, port: [host if host == "127.0.0.1" else "1.1.1.1"])
    with pytest.raises(InvalidWebhookError) as new:
        create_webhook(**{"name": "Other", "url": URL, **given}, by=rosa)
    with pytest.raises(InvalidWebhookError) as changed:
        change_webhook(webhook=webhook, **given, by=rosa)
    assert [e["field"] for e in new.value.errors] == [e["field"] for e in changed.value.errors] == [field]
    assert Webhook.objects.count() == 1


def test_a_change_is_audited_without_the_address(webhook: Webhook, rosa: User, looked_up: list[str]) -> None:
    looked_up.clear()
    change_webhook(webhook=webhook, name="Trainer 2", events=[Event.RUN_FAILED, Event.BATCH_SEALED], by=rosa)
    assert looked_up == []
    change_webhook(webhook=webhook, url="https://other.example.org/secret-path", by=rosa)
    assert looked_up == ["other.example.org"]
    last, before = AuditEvent.objects.filter(action="webhook.changed")
    assert before.detail == {"name": "Trainer 2", "events": ["batch.sealed", "run.failed"]}
    assert last.detail == {"host": "other.example.org"}
    assert (webhook.name, webhook.events) == ("Trainer 2", ["batch.sealed", "run.failed"])


def test_nothing_given_is_nothing_changed(webhook: Webhook, rosa: User) -> None:
    change_webhook(webhook=webhook, by=rosa)
    assert not AuditEvent.objects.filter(action="webhook.changed").exists()


def test_neither_secret_nor_address_reaches_the_audit(webhook: Webhook, rosa: User) -> None:
    old = webhook.secret
    new = rotate_secret(webhook=webhook, by=rosa)
    delete_webhook(webhook=webhook, by=rosa)
    told = json.dumps(list(AuditEvent.objects.values()), default=str)
    assert "webhook.deleted" in told
    assert [word for word in (old, new, "key=abc") if word in told] == []


def test_who_wants_an_event_is_told_of_it(rosa: User, webhook: Webhook) -> None:
    """An empty list is all."""
    sealed, _ = create_webhook(name="Sealed", url=URL, events=[Event.BATCH_SEALED], by=rosa)
    off, _ = create_webhook(name="Off", url=URL, by=rosa)
    change_webhook(webhook=off, active=False, by=rosa)
    announce(Event.BATCH_SEALED, {"number": 1})
    announce(Event.BATCH_OPENED, {"number": 1})
    told = {
        name: list(w.deliveries.values_list("event", flat=True))
        for name, w in [("all", webhook), ("sealed", sealed), ("off", off)]
    }
    assert told == {"all": ["batch.opened", "batch.sealed"], "sealed": ["batch.sealed"], "off": []}


def test_telling_nobody_costs_one_query(rosa: User, django_assert_num_queries: Callable[..., Any]) -> None:
    with django_assert_num_queries(1):
        announce(Event.BATCH_SEALED, {"number": 1})
    for _ in range(3):
        create_webhook(name="Trainer", url=URL, by=rosa)
    with django_assert_num_queries(2):
        announce(Event.BATCH_SEALED, {"number": 1})


@pytest.mark.django_db(transaction=True)
def test_a_deed_that_is_rolled_back_tells_nobody(webhook: Webhook, woken: list[str]) -> None:
    with pytest.raises(RuntimeError, match="fell over"), transaction.atomic():
        announce(Event.BATCH_SEALED, {"number": 1})
        raise RuntimeError("fell over")
    assert not WebhookDelivery.objects.exists()
    assert woken == []
    with transaction.atomic():
        announce(Event.BATCH_SEALED, {"number": 1})
        assert woken == []
    assert woken == ["annotation.tasks.send_webhooks"]


@pytest.mark.django_db(transaction=True)
def test_announcing_outside_a_transaction_is_a_mistake_in_the_code() -> None:
    assert not connection.in_atomic_block
    with pytest.raises(RuntimeError, match="outside the transaction"):
        announce(Event.BATCH_SEALED, {"number": 1})


@pytest.mark.django_db(transaction=True)
def test_a_broker_that_is_gone_loses_nothing(webhook: Webhook, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str, **_: object) -> None:
        raise OSError("no broker")

    monkeypatch.setattr(current_app, "send_task", fail)
    ping_webhook(webhook=webhook)
    assert webhook.deliveries.get().state == DeliveryState.WAITING


def test_the_week_tells_when_it_opens_and_when_it_is_sealed(webhook: Webhook) -> None:
    batch: Batch = open_batch(batch=create_batch())
    assert last_told(webhook) == ("batch.opened", {"number": 1, "name": "Week 1"})
    seal_batch(batch=batch)
    assert last_told(webhook) == ("batch.sealed", {"number": 1, "name": "Week 1"})


def test_only_what_is_on_and_done_can_be_asked_for(webhook: Webhook, rosa: User) -> None:
    delivery = ping_webhook(webhook=webhook)
    assert last_told(webhook) == ("ping", {"webhook": webhook.pk})
    with pytest.raises(ConflictError, match="still under way"):
        replay_delivery(delivery=delivery)
    change_webhook(webhook=webhook, active=False, by=rosa)
    with pytest.raises(ConflictError, match="switched off"):
        ping_webhook(webhook=webhook)
    with pytest.raises(ConflictError, match="switched off"):
        replay_delivery(delivery=delivery)


def test_the_manual_shows_every_event_with_its_fields() -> None:
    manual = (settings.BASE_DIR / "docs/webhooks.md").read_text()
    for event in Event:
        fields = ", ".join(f"`{name}`" for name in EXAMPLES[event])
        (line,) = [line for line in manual.splitlines() if line.startswith(f"| `{event}` |")]
        assert line.endswith(f"| {fields} |")
    assert example(Event.BATCH_SEALED) in manual
    for variable in ("WEBHOOK_INSECURE", "WEBHOOK_PRIVATE_HOSTS"):
        assert variable in manual


def test_the_clock_calls_tasks_that_are_there() -> None:
    called = {entry["task"] for entry in settings.CELERY_BEAT_SCHEDULE.values()}
    assert {tasks.send_webhooks.name, tasks.prune_webhooks.name} <= called
    assert tasks.send_webhooks.name == webhooks.SEND_TASK


def test_the_manuals_receiver_takes_what_is_sent(capsys: pytest.CaptureFixture[str]) -> None:
    manual = (settings.BASE_DIR / "docs/webhooks.md").read_text()
    code = manual.partition("```python\n")[2].partition("```")[0]
    secret = code.partition('Webhook("')[2].partition('"')[0]
    named: dict[str, Any] = {}
    exec(code, named)  # noqa: S102  our own manual
    uid, now, body = uuid4(), int(time.time()), example(Event.BATCH_SEALED).encode()
    headers = {"webhook-id": str(uid), "webhook-timestamp": str(now)}
    signed = {"webhook-signature": sign([secret], uid=uid, timestamp=now, body=body)}
    named["receive"](body, headers | signed)
    assert capsys.readouterr().out == "batch.sealed {'number': 12, 'name': 'Week 12'}\n"
    with pytest.raises(WebhookVerificationError):
        named["receive"](body + b"\n", headers | signed)


def test_a_snapshot_is_told_of_as_the_manual_shows() -> None:
    fields = list(told_of(Snapshot()))
    assert list(EXAMPLES[Event.SNAPSHOT_READY]) == fields
    assert list(EXAMPLES[Event.SNAPSHOT_FAILED]) == [*fields, "error"]
    assert list(EXAMPLES[Event.SNAPSHOT_WITHDRAWN]) == [*fields, "replaced_by"]
