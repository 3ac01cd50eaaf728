"""Sending what webhooks are to be told: signed, at least once, again and again, and not for ever."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
import time_machine
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import DjangoAssertNumQueries, Settings
from standardwebhooks.webhooks import Webhook as Oracle
from standardwebhooks.webhooks import WebhookVerificationError

from annotation.core.deliveries import ATTEMPTS, FAILING, KEPT, OLD_SECRET, delay_after
from annotation.core.events import Event
from annotation.core.states import DeliveryState
from annotation.models import AuditEvent, User, Webhook, WebhookDelivery
from annotation.services import calling, deliveries
from annotation.services.calling import Outcome
from annotation.services.deliveries import claim_due, prune_deliveries, send_due, store_outcome
from annotation.services.webhooks import (
    announce,
    change_webhook,
    delete_webhook,
    ping_webhook,
    replay_delivery,
    rotate_secret,
)
from annotation.tests.receiver import HOST, Receiver, make_webhook, receiving

SEALED = {"number": 1, "name": "Week 1"}


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> Iterator[Receiver]:
    settings.WEBHOOK_INSECURE = True
    settings.WEBHOOK_PRIVATE_HOSTS = [HOST]
    monkeypatch.setattr(calling, "look_up", lambda host, port: ["127.0.0.1"])
    with receiving() as found:
        yield found


@pytest.fixture
def webhook(receiver: Receiver, rosa: User) -> Webhook:
    return make_webhook(receiver, rosa)


@pytest.fixture
def told(webhook: Webhook) -> WebhookDelivery:
    """Waits to be sent."""
    announce(Event.BATCH_SEALED, SEALED)
    return webhook.deliveries.get()


def make_due(delivery: WebhookDelivery) -> None:
    WebhookDelivery.objects.filter(pk=delivery.pk).update(due_at=timezone.now())


def test_a_delivery_is_signed_so_that_the_standards_own_library_accepts_it(
    receiver: Receiver, webhook: Webhook, told: WebhookDelivery
) -> None:
    assert send_due() == 1
    (sent,) = receiver.got
    body = Oracle(webhook.secret).verify(sent.body, sent.headers)
    assert body["type"] == "batch.sealed"
    assert body["data"] == SEALED
    assert datetime.fromisoformat(body["timestamp"]).tzinfo is not None
    assert sent.headers["webhook-id"] == str(told.uid)
    assert sent.headers["content-type"] == "application/json"
    with pytest.raises(WebhookVerificationError):
        Oracle(webhook.secret).verify(sent.body + b" ", sent.headers)
    told.refresh_from_db()
    assert (told.state, told.status, told.attempts, told.error) == (DeliveryState.DELIVERED, 204, 1, "")
    assert told.delivered_at is not None
    assert told.took_ms is not None
    assert send_due() == 0


@pytest.mark.parametrize("name", ["Week 周 ☃", 'quotes " and \\', "\u2028 \U0001f600"])
def test_any_text_is_signed_as_it_is_sent(receiver: Receiver, webhook: Webhook, name: str) -> None:
    announce(Event.BATCH_SEALED, {"name": name})
    send_due()
    assert (
        Oracle(webhook.secret).verify(receiver.got[0].body, receiver.got[0].headers)["data"]["name"] == name
    )


def test_a_replaced_secret_signs_beside_the_new_one_for_a_day(
    receiver: Receiver, webhook: Webhook, rosa: User
) -> None:
    old, new = webhook.secret, rotate_secret(webhook=webhook, by=rosa)
    with time_machine.travel(timezone.now() + OLD_SECRET - timedelta(minutes=1), tick=False):
        announce(Event.BATCH_SEALED, SEALED)
        send_due()
        for secret in (old, new):
            Oracle(secret).verify(receiver.got[0].body, receiver.got[0].headers)
    with time_machine.travel(timezone.now() + OLD_SECRET + timedelta(minutes=1), tick=False):
        announce(Event.BATCH_SEALED, SEALED)
        send_due()
        Oracle(new).verify(receiver.got[1].body, receiver.got[1].headers)
        with pytest.raises(WebhookVerificationError):
            Oracle(old).verify(receiver.got[1].body, receiver.got[1].headers)


def test_a_failure_is_tried_again_later_under_the_same_id(
    receiver: Receiver, webhook: Webhook, told: WebhookDelivery
) -> None:
    receiver.answers = [(503, {}), (200, {})]
    before = timezone.now()
    send_due()
    told.refresh_from_db()
    webhook.refresh_from_db()
    assert (told.state, told.status, told.attempts) == (DeliveryState.WAITING, 503, 1)
    assert told.error == "It answered 503 where 2xx was expected."
    assert timedelta(seconds=5) <= told.due_at - before < timedelta(seconds=10)
    assert webhook.failing_since is not None
    assert send_due() == 0
    make_due(told)
    assert send_due() == 1
    told.refresh_from_db()
    webhook.refresh_from_db()
    assert (told.state, told.attempts, told.error) == (DeliveryState.DELIVERED, 2, "")
    assert webhook.failing_since is None
    assert receiver.got[0].headers["webhook-id"] == receiver.got[1].headers["webhook-id"]


@given(st.integers(1, ATTEMPTS - 1), st.floats(0, 1))
def test_a_wait_is_that_of_the_table_and_at_most_a_fifth_more(attempts: int, draw: float) -> None:
    wait = delay_after(attempts, draw=draw)
    least = delay_after(attempts, draw=0)
    assert wait is not None
    assert least is not None
    assert least <= wait <= 1.2 * least


def test_the_waits_are_those_of_the_standard() -> None:
    waits = [delay_after(attempts, draw=0) for attempts in range(1, ATTEMPTS)]
    hours = [2, 5, 10, 14, 20, 24]
    assert [wait.total_seconds() for wait in waits if wait] == [5, 300, 1800, *(h * 3600 for h in hours)]
    assert all(one < other for one, other in pairwise(wait for wait in waits if wait))
    assert delay_after(ATTEMPTS, draw=0) is None


def test_two_workers_do_not_both_send(told: WebhookDelivery) -> None:
    """The second read the row before the first claimed it."""
    seen = WebhookDelivery.objects.get(pk=told.pk)
    assert [row.pk for row in claim_due()] == [told.pk]
    assert deliveries._claim(seen, timezone.now()) is False
    assert claim_due() == []


def test_what_a_killed_worker_held_is_due_again(receiver: Receiver, told: WebhookDelivery) -> None:
    claim_due()
    assert send_due() == 0
    with time_machine.travel(timezone.now() + deliveries.HELD + timedelta(seconds=1)):
        assert send_due() == 1
    assert receiver.got[0].headers["webhook-id"] == str(told.uid)


def test_a_worker_that_lost_its_claim_stores_a_success_and_no_failure(told: WebhookDelivery) -> None:
    (late,) = claim_due()
    WebhookDelivery.objects.filter(pk=told.pk).update(attempts=late.attempts + 1)
    store_outcome(row=late, outcome=Outcome(500, "It answered 500 where 2xx was expected.", 1))
    told.refresh_from_db()
    assert (told.status, told.error) == (None, "")
    store_outcome(row=late, outcome=Outcome(200, "", 1))
    told.refresh_from_db()
    assert told.state == DeliveryState.DELIVERED


def test_gone_switches_the_webhook_off(receiver: Receiver, webhook: Webhook, told: WebhookDelivery) -> None:
    receiver.answers = [(410, {})]
    send_due()
    told.refresh_from_db()
    webhook.refresh_from_db()
    assert told.state == DeliveryState.FAILED
    assert not webhook.active
    assert webhook.pause_reason == "It answered 410: it wants no more deliveries."
    event = AuditEvent.objects.get(action="webhook.switched_off")
    assert (event.actor, event.object_name) == (None, "Trainer")
    announce(Event.BATCH_SEALED, SEALED)
    assert webhook.deliveries.count() == 1


def give_up(told: WebhookDelivery) -> None:
    WebhookDelivery.objects.filter(pk=told.pk).update(attempts=ATTEMPTS - 1, due_at=timezone.now())
    send_due()


def test_after_the_last_attempt_a_delivery_is_given_up(
    receiver: Receiver, webhook: Webhook, told: WebhookDelivery
) -> None:
    """The webhook stays: it failed for less than FAILING."""
    receiver.answers = [(500, {})]
    give_up(told)
    told.refresh_from_db()
    webhook.refresh_from_db()
    assert (told.state, webhook.active) == (DeliveryState.FAILED, True)


def test_a_webhook_that_only_failed_for_days_is_switched_off(
    receiver: Receiver, webhook: Webhook, told: WebhookDelivery
) -> None:
    receiver.answers = [(500, {})]
    Webhook.objects.update(failing_since=timezone.now() - FAILING)
    give_up(told)
    webhook.refresh_from_db()
    assert not webhook.active
    assert webhook.pause_reason.startswith("Nothing could be delivered for 3 days.")


def test_what_waits_for_a_webhook_that_is_off_goes_out_when_it_is_on_again(
    receiver: Receiver, webhook: Webhook, told: WebhookDelivery, rosa: User
) -> None:
    change_webhook(webhook=webhook, active=False, by=rosa)
    assert send_due() == 0
    change_webhook(webhook=webhook, active=True, by=rosa)
    assert send_due() == 1


def test_a_webhook_deleted_while_it_is_called_is_no_error(
    receiver: Receiver, webhook: Webhook, told: WebhookDelivery, rosa: User
) -> None:
    (row,) = claim_due()
    delete_webhook(webhook=webhook, by=rosa)
    store_outcome(row=row, outcome=Outcome(500, "It answered 500.", 1))
    store_outcome(row=row, outcome=Outcome(200, "", 1))
    assert not WebhookDelivery.objects.exists()


def test_an_address_that_became_private_is_not_called(
    receiver: Receiver, told: WebhookDelivery, settings: Settings
) -> None:
    settings.WEBHOOK_PRIVATE_HOSTS = []
    send_due()
    told.refresh_from_db()
    assert receiver.got == []
    assert "private network" in told.error
    assert told.status is None


def test_nothing_of_an_answer_is_kept(receiver: Receiver, told: WebhookDelivery) -> None:
    receiver.answers = [(500, {"x-inner": "secret"})]
    send_due()
    row = WebhookDelivery.objects.values().get(pk=told.pk)
    assert "secret" not in json.dumps(row, default=str)


def test_a_slow_receiver_keeps_no_others_waiting(
    receiver: Receiver, rosa: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both are sent at once; the quick one is stored while the slow one is still held."""
    monkeypatch.setattr(calling, "SECONDS", 1.0)
    make_webhook(receiver, rosa, path="/quick")
    with receiving() as slow:
        slow.hold.clear()
        make_webhook(slow, rosa, path="/slow")
        announce(Event.BATCH_SEALED, SEALED)
        stored: list[tuple[str, str]] = []
        real = deliveries.store_outcome

        def note(*, row: WebhookDelivery, outcome: Outcome) -> None:
            stored.append((row.webhook.url.rpartition("/")[2], outcome.error))
            real(row=row, outcome=outcome)

        monkeypatch.setattr(deliveries, "store_outcome", note)
        send_due()
    assert stored == [("quick", ""), ("slow", "It did not answer within 1 seconds.")]


def test_a_ping_goes_to_one_webhook_whatever_it_wants(receiver: Receiver, rosa: User) -> None:
    make_webhook(receiver, rosa)
    webhook = make_webhook(receiver, rosa, events=[Event.BATCH_OPENED])
    ping_webhook(webhook=webhook)
    assert send_due() == 1
    assert json.loads(receiver.got[0].body)["data"] == {"webhook": webhook.pk}


def test_a_replay_is_the_same_body_under_an_id_of_its_own(
    receiver: Receiver, webhook: Webhook, told: WebhookDelivery
) -> None:
    send_due()
    told.refresh_from_db()
    again = replay_delivery(delivery=told)
    send_due()
    first, second = receiver.got
    assert first.body == second.body
    assert second.headers["webhook-id"] == str(again.uid) != first.headers["webhook-id"]
    assert again.replays == told
    Oracle(webhook.secret).verify(second.body, second.headers)


def test_the_log_forgets_what_is_older_than_thirty_days(told: WebhookDelivery, webhook: Webhook) -> None:
    announce(Event.BATCH_SEALED, SEALED)
    WebhookDelivery.objects.filter(pk=told.pk).update(created_at=timezone.now() - KEPT - timedelta(hours=1))
    assert prune_deliveries() == 1
    assert webhook.deliveries.exclude(pk=told.pk).count() == 1


def test_sending_asks_the_database_little(
    receiver: Receiver, rosa: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    """One to find what is due, one to claim each; two to store each with its transaction; one to find no more."""
    for _ in range(3):
        make_webhook(receiver, rosa)
    announce(Event.BATCH_SEALED, SEALED)
    with django_assert_num_queries(1 + 3 + 3 * 4 + 1):
        send_due()
