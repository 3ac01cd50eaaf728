"""Who is told what happens, and what became of telling them."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from annotation.core.events import Standing
from annotation.core.states import DeliveryState
from annotation.models.fields import one_of, word_field


class Webhook(models.Model):
    """An address that is told of events, in the form of Standard Webhooks."""

    url = models.URLField(max_length=500)
    name = models.CharField(max_length=100, help_text="What it is for.")
    events = models.JSONField(default=list, help_text="Which events (annotation.core.events); empty: all.")
    secret = models.CharField(
        max_length=100, help_text="With which deliveries are signed: whsec_ and base64."
    )
    old_secret = models.CharField(
        max_length=100, blank=True, help_text="The one before: signs beside the new one until it ends."
    )
    old_secret_ends_at = models.DateTimeField(null=True, blank=True)
    active = models.BooleanField(default=True)
    pause_reason = models.TextField(blank=True, help_text="Why it was switched off, where the house did it.")
    failing_since = models.DateTimeField(
        null=True, blank=True, help_text="The first failure after the last success; empty: it answers."
    )
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name", "pk"]

    def __str__(self) -> str:
        return self.name

    @property
    def secrets(self) -> list[str]:
        """What deliveries are signed with now: the secret, and for a day the one before."""
        before = self.old_secret_ends_at is not None and self.old_secret_ends_at > timezone.now()
        return [self.secret, self.old_secret] if before else [self.secret]

    @property
    def standing(self) -> Standing:
        if not self.active:
            return Standing.OFF
        return Standing.FAILING if self.failing_since else Standing.ON


class WebhookDelivery(models.Model):
    """One event on its way to one address. `uid` is the message's id: the same in every attempt, so that the receiver
    can tell a repetition."""

    uid = models.UUIDField(unique=True, default=uuid.uuid4)
    webhook = models.ForeignKey(Webhook, on_delete=models.CASCADE, related_name="deliveries")
    event = models.CharField(max_length=64)
    body = models.TextField(help_text="The bytes that are signed and sent.")
    state = word_field(DeliveryState, default=DeliveryState.WAITING)
    attempts = models.PositiveSmallIntegerField(default=0)
    due_at = models.DateTimeField(help_text="When it is tried next.")
    status = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text="HTTP status of the last attempt."
    )
    error = models.TextField(blank=True, help_text="Why the last attempt failed; never the answer's body.")
    took_ms = models.PositiveIntegerField(null=True, blank=True)
    replays = models.ForeignKey(
        "self", on_delete=models.SET_NULL, null=True, blank=True, related_name="replayed_as"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    delivered_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at", "-pk"]
        verbose_name_plural = "webhook deliveries"
        indexes = [
            models.Index(fields=["due_at"], condition=Q(state="waiting"), name="delivery_due"),
            models.Index(fields=["webhook", "-id"], name="delivery_of_webhook"),
        ]
        constraints = [one_of("state", DeliveryState, "delivery_state_is_legal")]

    def __str__(self) -> str:
        return f"{self.event} {self.uid}"
