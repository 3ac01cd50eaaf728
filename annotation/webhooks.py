"""What is asked about webhooks and what they were told. Researchers see all of them, others none."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.db.models import Max, QuerySet
from django.utils import timezone

from annotation.core.states import DeliveryState
from annotation.errors import NotFoundError
from annotation.models import Role, User, Webhook, WebhookDelivery

STUCK: Final = timedelta(minutes=2)


def webhooks_for(user: User) -> QuerySet[Webhook]:
    rows = Webhook.objects.select_related("created_by")
    return rows if user.may(Role.RESEARCHER) else rows.none()


def webhook_for(user: User, pk: int) -> Webhook:
    """Absent and forbidden answer alike.

    Raises:
        NotFoundError: it is not there, or not for this person.
    """
    webhook = webhooks_for(user).filter(pk=pk).first()
    if webhook is None:
        raise NotFoundError("There is no such webhook.")
    return webhook


def deliveries_of(webhook: Webhook) -> QuerySet[WebhookDelivery]:
    """The newest first."""
    return webhook.deliveries.select_related("replays").order_by("-pk")


def delivery_of(webhook: Webhook, uid: UUID) -> WebhookDelivery:
    """One of them.

    Raises:
        NotFoundError: it is not there, or too old to be kept.
    """
    delivery = deliveries_of(webhook).select_related("webhook").filter(uid=uid).first()
    if delivery is None:
        raise NotFoundError("There is no such delivery of this webhook. They are kept for 30 days.")
    return delivery


def log_page(webhook: Webhook, *, before: int | None, length: int) -> tuple[list[WebhookDelivery], bool]:
    """The newest deliveries, or those older than the one with the key `before`; and whether there are older ones."""
    rows = deliveries_of(webhook)
    found = list((rows if before is None else rows.filter(pk__lt=before))[: length + 1])
    return found[:length], len(found) > length


def last_delivered(webhook: Webhook) -> datetime | None:
    newest: datetime | None = webhook.deliveries.aggregate(newest=Max("delivered_at"))["newest"]
    return newest


def is_stuck(webhook: Webhook) -> bool:
    """Whether something has been due for so long that nobody can be sending."""
    long_due = webhook.deliveries.filter(state=DeliveryState.WAITING, due_at__lt=timezone.now() - STUCK)
    return webhook.active and long_due.exists()
