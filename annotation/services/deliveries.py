"""Sending what webhooks are to be told: at least once, by any number of workers, whichever of them is killed.

1. `send_due` claims rows whose time has come by compare-and-set on (attempts, due_at): of two workers one has it. The
   claim ends by itself, so that what a killed worker held is due again.
2. They are sent side by side, outside any transaction, each signed as of now.
3. What came of it is stored: delivered, due again later, or given up.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import structlog
from asgiref.sync import async_to_sync, sync_to_async
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from annotation.core.deliveries import FAILING, KEPT, delay_after, sign
from annotation.core.states import DeliveryState
from annotation.models import Webhook, WebhookDelivery
from annotation.services.audit import record
from annotation.services.calling import Outcome, post

HELD: Final = timedelta(seconds=60)  # a claim; longer than any request takes
AT_ONCE: Final = 32
MOST_ROUNDS: Final = 8  # in one go, so that a worker comes back to its other work
log = structlog.get_logger(__name__)


def send_due() -> int:
    """Send what is due; returns how many were tried. Running several times at once is harmless."""
    tried = 0
    for _ in range(MOST_ROUNDS):
        claimed = claim_due()
        if not claimed:
            break
        async_to_sync(_send_all)(claimed)
        tried += len(claimed)
    return tried


def claim_due() -> list[WebhookDelivery]:
    """Deliveries that are this worker's for HELD, the longest overdue first; each counts as one attempt more."""
    now = timezone.now()
    due = WebhookDelivery.objects.filter(state=DeliveryState.WAITING, due_at__lte=now, webhook__active=True)
    rows = due.select_related("webhook").order_by("due_at", "pk")[:AT_ONCE]
    return [row for row in rows if _claim(row, now)]


def _claim(row: WebhookDelivery, now: datetime) -> bool:
    seen = WebhookDelivery.objects.filter(
        pk=row.pk, state=DeliveryState.WAITING, attempts=row.attempts, due_at=row.due_at
    )
    row.attempts += 1
    row.due_at = now + HELD
    return bool(seen.update(attempts=row.attempts, due_at=row.due_at))


async def _send_all(rows: Sequence[WebhookDelivery]) -> None:
    """Each is stored when it has ended, so that a slow receiver keeps no other's success from the table."""
    await asyncio.gather(*(_send(row) for row in rows))


async def _send(row: WebhookDelivery) -> None:
    body = row.body.encode()
    outcome = await post(row.webhook.url, headers=_headers(row, body), body=body)
    await sync_to_async(store_outcome)(row=row, outcome=outcome)


def _headers(row: WebhookDelivery, body: bytes) -> dict[str, str]:
    timestamp = int(timezone.now().timestamp())
    return {
        "content-type": "application/json",
        "user-agent": f"Margin/{settings.VERSION}",
        "webhook-id": str(row.uid),
        "webhook-timestamp": str(timestamp),
        "webhook-signature": sign(row.webhook.secrets, uid=row.uid, timestamp=timestamp, body=body),
    }


@transaction.atomic
def store_outcome(*, row: WebhookDelivery, outcome: Outcome) -> None:
    """Note what came of an attempt, for the delivery and for its webhook.

    A failure counts only while this worker's claim does. A success counts always: the receiver has it.
    """
    waiting = WebhookDelivery.objects.filter(pk=row.pk, state=DeliveryState.WAITING)
    columns: dict[str, Any] = {
        "status": outcome.status,
        "error": outcome.error,
        "took_ms": outcome.took_ms,
    }
    now = timezone.now()
    if not outcome.error:
        waiting.update(state=DeliveryState.DELIVERED, delivered_at=now, **columns)
        Webhook.objects.filter(pk=row.webhook_id).exclude(failing_since=None).update(failing_since=None)
        return
    delay = None if outcome.gone else delay_after(row.attempts, draw=random.random())  # noqa: S311  no secret
    columns |= {"state": DeliveryState.FAILED} if delay is None else {"due_at": now + delay}
    if waiting.filter(attempts=row.attempts).update(**columns):
        _note_failure(row, outcome, now, given_up=delay is None)


def _note_failure(row: WebhookDelivery, outcome: Outcome, now: datetime, *, given_up: bool) -> None:
    log.info("webhook not delivered", webhook=row.webhook_id, attempts=row.attempts, error=outcome.error)
    Webhook.objects.filter(pk=row.webhook_id, failing_since=None).update(failing_since=now)
    if outcome.gone:
        _switch_off(row.webhook, outcome.error)
    elif given_up and Webhook.objects.filter(pk=row.webhook_id, failing_since__lte=now - FAILING).exists():
        reason = f"Nothing could be delivered for {FAILING.days} days. The last time: {outcome.error}"
        _switch_off(row.webhook, reason)


def _switch_off(webhook: Webhook, reason: str) -> None:
    """What else waits for it goes on waiting, for somebody to switch it on again."""
    if Webhook.objects.filter(pk=webhook.pk, active=True).update(active=False, pause_reason=reason):
        record("webhook.switched_off", webhook, by=None, reason=reason)


def prune_deliveries() -> int:
    """Forget what is older than KEPT, delivered or not; returns how many rows that were."""
    forgotten, _ = WebhookDelivery.objects.filter(created_at__lt=timezone.now() - KEPT).delete()
    return forgotten
