"""Webhooks: who is told of events, what they were told, and sending it again."""

from __future__ import annotations

import json
from typing import Annotated, Any, Final
from uuid import UUID

from django.db.models import QuerySet
from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from annotation.api.bodies import Body, without_nul
from annotation.api.kit.bodies import read, well_formed
from annotation.api.kit.filters import since, word
from annotation.api.kit.idempotency import keep_instead
from annotation.api.kit.schema import operation
from annotation.api.kit.views import ApiView, Collection, Item
from annotation.core.addresses import LONGEST_URL
from annotation.core.events import CHOICES, Event, Standing, example
from annotation.core.scopes import Scope
from annotation.core.states import DeliveryState
from annotation.models import Webhook, WebhookDelivery
from annotation.services.webhooks import (
    LONGEST_NAME,
    change_webhook,
    create_webhook,
    delete_webhook,
    ping_webhook,
    replay_delivery,
    rotate_secret,
)
from annotation.webhooks import deliveries_of, delivery_of, webhook_for, webhooks_for

NOW: Final = "2026-03-06T17:00:00Z"
CHOSEN: Final = {"name": "Trainer", "url": "https://hooks.example.org/margin", "events": ["batch.sealed"]}
WEBHOOK: Final = {
    "id": 1,
    **CHOSEN,
    "active": True,
    "state": "on",
    "pause_reason": "",
    "failing_since": None,
    "old_secret_ends_at": None,
    "created_by": "rosa",
    "created_at": NOW,
}
SECRET: Final = {"secret": "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"}
DELIVERY: Final = {
    "uid": "0197f6a2-2f0b-7c1e-9d53-6f0a4c3b2a19",
    "event": "batch.sealed",
    "state": "delivered",
    "attempts": 1,
    "due_at": None,
    "status": 204,
    "error": "",
    "took_ms": 86,
    "replays": None,
    "body": example(Event.BATCH_SEALED),
    "created_at": NOW,
    "delivered_at": NOW,
}

_EVENTS: Final = {"type": "array", "items": {"type": "string", "enum": [*CHOICES]}, "maxItems": len(CHOICES)}
Line = Annotated[str, BeforeValidator(without_nul), Field(min_length=1, max_length=LONGEST_NAME)]
Address = Annotated[str, Field(min_length=1, max_length=LONGEST_URL, json_schema_extra={"format": "uri"})]


def _chosen(event: Event) -> Event:
    if event not in CHOICES:
        raise ValueError(f"choose of {', '.join(CHOICES)}")
    return event


Events = Annotated[
    list[Annotated[Event, AfterValidator(_chosen)]],
    Field(max_length=len(CHOICES)),
    WithJsonSchema(_EVENTS),
]


class WebhookBody(Body):
    name: Line = Field(description="What it is for.")
    url: Address = Field(description="An address of the public internet, https.")
    events: Events = Field(default=[], description="What it is told of; empty: everything.")


class WebhookChange(Body):
    """What is not given stays as it is."""

    name: Line | None = None
    url: Address | None = None
    events: Events | None = None
    active: bool | None = Field(default=None, description="Switched on again, it gets what was waiting.")


class WebhookRow(serializers.ModelSerializer[Webhook]):
    events = serializers.ListField(
        child=serializers.CharField(), help_text="What it is told of; empty: everything."
    )
    state = serializers.ChoiceField(
        [*Standing], source="standing", help_text="failing: nothing was delivered since failing_since."
    )
    created_by = serializers.CharField(source="created_by.username", default=None, allow_null=True)

    class Meta:
        model = Webhook
        fields = [*WEBHOOK]
        read_only_fields = [*WEBHOOK]


class NewWebhookRow(WebhookRow):
    secret = serializers.CharField(help_text="Shown this once.")

    class Meta(WebhookRow.Meta):
        fields = [*WEBHOOK, *SECRET]


class SecretAnswer(serializers.Serializer[Any]):
    secret = serializers.CharField(help_text="Shown this once.")
    old_secret_ends_at = serializers.DateTimeField(help_text="Until then the old one signs too.")


class DeliveryRow(serializers.ModelSerializer[WebhookDelivery]):
    due_at = serializers.SerializerMethodField(help_text="When it is tried next; null: never.")
    replays: serializers.SlugRelatedField[WebhookDelivery] = serializers.SlugRelatedField(
        slug_field="uid", read_only=True, help_text="The delivery that it repeats."
    )

    class Meta:
        model = WebhookDelivery
        fields = [*DELIVERY]
        read_only_fields = [*DELIVERY]

    def get_due_at(self, delivery: WebhookDelivery) -> str | None:
        waits = delivery.state == DeliveryState.WAITING
        return serializers.DateTimeField().to_representation(delivery.due_at) if waits else None


class _View(ApiView):
    """Seeing them needs the scope too: they tell where the house's data go."""

    reads = writes = Scope.WEBHOOKS_WRITE

    def webhook(self) -> Webhook:
        return webhook_for(self.person, self.kwargs["pk"])


class WebhookList(_View, Collection):
    """Who is told of events."""

    name = "webhooks"
    serializer_class = WebhookRow
    example = WEBHOOK

    def rows(self) -> QuerySet[Webhook]:
        return webhooks_for(self.person)

    @operation(
        body=WebhookBody,
        body_example=CHOSEN,
        answer=NewWebhookRow,
        answer_example={**WEBHOOK, **SECRET},
        status=201,
    )
    def create(self, request: Request) -> Response:
        """Tell an address of events. The answer holds the secret that deliveries are signed with, this once."""
        body = read(request, WebhookBody)
        with well_formed():
            webhook, _ = create_webhook(**body.model_dump(), by=self.person)
        response = Response(NewWebhookRow(webhook).data, status=201)
        keep_instead(response, json.dumps(WebhookRow(webhook).data))
        return response


class WebhookItem(_View, Item):
    """One webhook."""

    name = "webhooks"
    serializer_class = WebhookRow
    example = WEBHOOK

    def row(self, **kwargs: Any) -> Webhook:
        return self.webhook()

    @operation(body=WebhookChange, body_example={"active": False}, answer=WebhookRow, answer_example=WEBHOOK)
    def patch(self, request: Request, pk: int) -> Response:
        """Change it, switch it off or on. What waits for one that is off is sent when it is on again."""
        given = read(request, WebhookChange).model_dump(exclude_unset=True)
        with well_formed():
            webhook = change_webhook(webhook=self.webhook(), **given, by=self.person)
        return Response(WebhookRow(webhook).data)

    @operation(answer=None, status=204)
    def delete(self, request: Request, pk: int) -> Response:
        """Tell it nothing more, and forget what it was told."""
        delete_webhook(webhook=self.webhook(), by=self.person)
        return Response(status=204)


class WebhookPing(_View):
    """A test."""

    @operation("webhooks_ping", answer=DeliveryRow, answer_example={**DELIVERY, "event": "ping"}, status=202)
    def post(self, request: Request, pk: int) -> Response:
        """Send it a test, whatever events it wants. Its deliveries say what came of it."""
        return Response(DeliveryRow(ping_webhook(webhook=self.webhook())).data, status=202)


class WebhookSecret(_View):
    """What deliveries are signed with."""

    @operation(
        "webhooks_rotate_secret",
        answer=SecretAnswer,
        answer_example={**SECRET, "old_secret_ends_at": "2026-03-07T17:00:00Z"},
    )
    def post(self, request: Request, pk: int) -> Response:
        """Replace the secret. The new one is shown this once; the old one signs beside it for a day."""
        webhook = self.webhook()
        rotate_secret(webhook=webhook, by=self.person)
        told = SecretAnswer(self.webhook()).data
        response = Response(told)
        keep_instead(response, json.dumps({"old_secret_ends_at": told["old_secret_ends_at"]}))
        return response


class WebhookDeliveries(_View, Collection):
    """What it was told in the last 30 days, and what came of it."""

    name = "webhook_deliveries"
    serializer_class = DeliveryRow
    example = DELIVERY
    filters = {
        "state": word("state", DeliveryState, "Waiting, delivered or failed."),
        "event": word("event", Event, "What was told."),
        "since": since("created_at", "Made at that time or later."),
    }

    def rows(self) -> QuerySet[WebhookDelivery]:
        return deliveries_of(self.webhook())


class WebhookReplay(_View):
    """Once more."""

    @operation(
        "webhook_deliveries_replay",
        answer=DeliveryRow,
        answer_example={**DELIVERY, "replays": DELIVERY["uid"]},
        status=202,
    )
    def post(self, request: Request, pk: int, uid: UUID) -> Response:
        """Send a delivery's body again, as a delivery of its own with a new webhook-id."""
        delivery = delivery_of(self.webhook(), uid)
        return Response(DeliveryRow(replay_delivery(delivery=delivery)).data, status=202)
