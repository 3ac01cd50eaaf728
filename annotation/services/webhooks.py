"""Who is told of events: adding, changing and testing webhooks, and writing down what they are told.

What is announced is a row in the transaction of the deed, one for each webhook that wants it: a deed that is rolled
back tells nobody, and no crash loses what was done. annotation.services.deliveries sends the rows.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any, Final, NoReturn

import structlog
from celery import current_app
from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from annotation.core.addresses import AddressError, Target
from annotation.core.deliveries import OLD_SECRET, new_secret
from annotation.core.events import CHOICES, Event, message
from annotation.core.states import DeliveryState
from annotation.errors import ConflictError, InvalidWebhookError
from annotation.models import User, Webhook, WebhookDelivery
from annotation.services.audit import record
from annotation.services.calling import check_address

LONGEST_NAME: Final = 100
SEND_TASK: Final = "annotation.tasks.send_webhooks"
log = structlog.get_logger(__name__)


def announce(event: Event, data: Mapping[str, object]) -> None:
    """Tell of `event` whoever wants to know. Call it inside the transaction of the deed.

    Raises:
        RuntimeError: there is no transaction, so that a crash could do the deed and tell nobody.
    """
    if not connection.in_atomic_block:
        raise RuntimeError(f"{event} was announced outside the transaction of its deed.")
    active = Webhook.objects.filter(active=True)
    _write(event, data, [webhook for webhook in active if not webhook.events or event in webhook.events])


def create_webhook(*, name: str, url: str, events: Collection[Event] = (), by: User) -> tuple[Webhook, str]:
    """Tell `url` of `events` (none named: of all) from now on; returns the row and its secret, shown this once.

    Raises:
        InvalidWebhookError: no name, an event that is none, or an address that may not be called; `errors` say which.
    """
    asked = _checked(name=name, url=url, events=events)
    target = _check_address(asked["url"])
    with transaction.atomic():
        webhook = Webhook.objects.create(**asked, secret=new_secret(), created_by=by)
        record("webhook.added", webhook, by=by, host=target.host, events=webhook.events)
    return webhook, webhook.secret


def change_webhook(
    *,
    webhook: Webhook,
    name: str | None = None,
    url: str | None = None,
    events: Collection[Event] | None = None,
    active: bool | None = None,
    by: User,
) -> Webhook:
    """Change what is given. Switched on again, it gets what was waiting, and counts as one that never failed.

    Raises:
        InvalidWebhookError: as for a new one; nothing was changed.
    """
    given = {"name": name, "url": url, "events": events}
    columns = _checked(**{name: value for name, value in given.items() if value is not None})
    # The address may hold a key of the receiver's, so the audit names its host alone.
    told = {key: value for key, value in columns.items() if key != "url"}
    if columns.get("url", webhook.url) != webhook.url:
        told["host"] = _check_address(columns["url"]).host
    if active is not None and active != webhook.active:
        columns |= {"active": active, "pause_reason": "", "failing_since": None}
        told["active"] = active
    with transaction.atomic():
        if columns and Webhook.objects.filter(pk=webhook.pk).update(**columns):
            record("webhook.changed", webhook, by=by, **told)
            transaction.on_commit(wake)
    webhook.refresh_from_db()
    return webhook


def delete_webhook(*, webhook: Webhook, by: User) -> None:
    """Tell it nothing more, and forget what it was told."""
    with transaction.atomic():
        record("webhook.deleted", webhook, by=by)
        webhook.delete()


def rotate_secret(*, webhook: Webhook, by: User) -> str:
    """A new secret, shown this once. The old one signs beside it for a day, so that the receiver has time to change."""
    secret = new_secret()
    with transaction.atomic():
        webhook = Webhook.objects.select_for_update().get(pk=webhook.pk)
        webhook.old_secret, webhook.secret = webhook.secret, secret
        webhook.old_secret_ends_at = timezone.now() + OLD_SECRET
        webhook.save(update_fields=["secret", "old_secret", "old_secret_ends_at"])
        record("webhook.secret_replaced", webhook, by=by)
    return secret


def ping_webhook(*, webhook: Webhook) -> WebhookDelivery:
    """Send it a test, whatever events it wants.

    Raises:
        ConflictError: it is switched off.
    """
    _check_active(webhook)
    with transaction.atomic():
        (delivery,) = _write(Event.PING, {"webhook": webhook.pk}, [webhook])
    return delivery


def replay_delivery(*, delivery: WebhookDelivery) -> WebhookDelivery:
    """Send the same body again as a message of its own, which a receiver that drops repetitions takes too.

    Raises:
        ConflictError: its webhook is switched off, or it is still being tried.
    """
    _check_active(delivery.webhook)
    if delivery.state == DeliveryState.WAITING:
        raise ConflictError("This delivery is still under way. Replay it once it was delivered or given up.")
    with transaction.atomic():
        again = WebhookDelivery.objects.create(
            webhook=delivery.webhook,
            event=delivery.event,
            body=delivery.body,
            due_at=timezone.now(),
            replays=delivery,
        )
        transaction.on_commit(wake)
    return again


def wake() -> None:
    """Tell a worker that something is due. A broker that cannot be reached is logged; the sweep finds the rows."""
    try:
        current_app.send_task(SEND_TASK, retry=False, expires=2 * settings.WEBHOOK_SWEEP)
    except Exception:
        log.warning("webhooks not announced", exc_info=True)


def _write(event: Event, data: Mapping[str, object], webhooks: Iterable[Webhook]) -> list[WebhookDelivery]:
    now: datetime = timezone.now()
    body = message(event, now, data)
    rows = [WebhookDelivery(webhook=webhook, event=event, body=body, due_at=now) for webhook in webhooks]
    if not rows:
        return []
    transaction.on_commit(wake)
    return WebhookDelivery.objects.bulk_create(rows)


def _check_active(webhook: Webhook) -> None:
    if not webhook.active:
        raise ConflictError(f"{webhook.name} is switched off. Switch it on first.")


def _checked(**given: Any) -> dict[str, Any]:
    """The columns of what was given, trimmed; an event once, in the order of the list."""
    wrong: dict[str, str] = {}
    columns: dict[str, Any] = {}
    if "name" in given:
        columns["name"] = given["name"].strip()
        if not 0 < len(columns["name"]) <= LONGEST_NAME or not columns["name"].isprintable():
            wrong["name"] = f"Say what it is for, in one line of at most {LONGEST_NAME} characters."
    if "url" in given:
        columns["url"] = given["url"].strip()
    if "events" in given:
        columns["events"] = [event.value for event in CHOICES if event in given["events"]]
        if unknown := set(given["events"]) - set(CHOICES):
            wrong["events"] = f"No such event: {', '.join(sorted(unknown))}. There are {', '.join(CHOICES)}."
    if wrong:
        _refuse(wrong)
    return columns


def _check_address(url: str) -> Target:
    try:
        return check_address(url)
    except AddressError as error:
        _refuse({"url": str(error)})


def _refuse(wrong: Mapping[str, str]) -> NoReturn:
    errors: list[dict[str, object]] = [{"field": name, "reason": why} for name, why in wrong.items()]
    raise InvalidWebhookError("Nothing was changed: the webhook cannot be like this.", errors=errors)
