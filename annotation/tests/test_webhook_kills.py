"""Processes that announce or send are killed; the receiver gets each message at least once, under one id."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from standardwebhooks.webhooks import Webhook as Oracle

from annotation.tests.receiver import Receiver, receiving
from tests.house import House, build_house

pytestmark = pytest.mark.process

ADD = """
from annotation.services.webhooks import create_webhook
from tests.factories import make_user
print(create_webhook(name="Trainer", url="{url}", by=make_user("rosa"))[1])
"""
KILLED = """
import os, signal
from django.db import transaction
from annotation.core.events import Event
from annotation.services import webhooks
def die(): os.kill(os.getpid(), signal.SIGKILL)
webhooks.wake = die
with transaction.atomic():
    webhooks.announce(Event.BATCH_SEALED, {{"number": {number}}})
    {then}
"""
SEND = "from annotation.services.deliveries import send_due; print(send_due())"
DUE = "from annotation.models import WebhookDelivery; from django.utils import timezone\n"
DUE += "WebhookDelivery.objects.filter(state='waiting').update(due_at=timezone.now())"
STATES = "from annotation.models import WebhookDelivery\n"
STATES += "print(*WebhookDelivery.objects.values_list('state', 'attempts'))"


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with build_house(tmp_path / "house") as built:
        leave = {"WEBHOOK_INSECURE": "yes", "WEBHOOK_PRIVATE_HOSTS": "127.0.0.1"}
        yield replace(built, environment={**built.environment, **leave})


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


def die(house: House, number: int, then: str) -> None:
    process = house.start("shell", "-v", "0", "-c", KILLED.format(number=number, then=then))
    assert process.wait(60) == -signal.SIGKILL


def test_whoever_is_killed_no_message_is_lost_and_none_invented(house: House, receiver: Receiver) -> None:
    secret = house.run(ADD.format(url=receiver.url(host="127.0.0.1"))).strip()

    # Killed before the deed is in: nobody is told. Killed right after, before a worker hears of it: somebody will be.
    die(house, 1, "die()")
    die(house, 2, "pass")
    assert house.counts("annotation.WebhookDelivery") == {"annotation.WebhookDelivery": 1}

    # A worker killed while the receiver has the message and has not answered.
    receiver.hold.clear()
    worker = house.start("shell", "-v", "0", "-c", SEND)
    assert receiver.arrived.wait(60)
    worker.send_signal(signal.SIGKILL)
    worker.wait(60)
    receiver.hold.set()
    assert house.run(STATES).strip() == "('waiting', 1)"

    # Its claim ends by itself; here the clock is put forward.
    assert house.run(SEND).strip() == "0"
    house.run(DUE)
    assert house.run(SEND).strip() == "1"
    assert house.run(STATES).strip() == "('delivered', 2)"
    first, second = receiver.got
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert Oracle(secret).verify(second.body, second.headers)["data"] == {"number": 2}
