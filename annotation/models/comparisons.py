"""Pairs of responses, who holds which, and who passed which on."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Coalesce

from annotation.core.grades import Focus
from annotation.core.passes import FLAGS, PassReason
from annotation.core.states import BatchState, ComparisonState
from annotation.models.batches import Batch
from annotation.models.fields import one_of, word_field
from annotation.models.prompts import Dialogue, Response, key_field


class ComparisonQuerySet(models.QuerySet["Comparison"]):
    def waiting(self) -> Self:
        """Open comparisons of open batches."""
        return self.filter(state=ComparisonState.OPEN, batch__state=BatchState.OPEN)

    def never_held_by(self, annotator_id: int) -> Self:
        """Neither leased to this person, now or before, nor passed on by them."""
        own = {"comparison": models.OuterRef("pk"), "annotator_id": annotator_id}
        held, passed = Lease.objects.filter(**own), Pass.objects.filter(**own).standing()
        return self.exclude(models.Exists(held)).exclude(models.Exists(passed))

    def with_free_slot(self, now: datetime, *, overlap: int, beside: int | None = None) -> Self:
        """Fewer judged or live slots than `overlap`, those of annotator `beside` not counted."""
        taken = (
            Lease.objects.filter(comparison=models.OuterRef("pk"))
            .filter(Q(judged=True) | Q(expires_at__gt=now))
            .exclude(annotator_id=beside)
            .order_by()
            .values("comparison")
            .annotate(n=models.Count("pk"))
            .values("n")
        )
        return self.alias(taken=Coalesce(models.Subquery(taken), 0)).filter(taken__lt=overlap)


class Comparison(models.Model):
    """Two responses to one dialogue, to be judged under one focus."""

    key = key_field()
    batch = models.ForeignKey(Batch, on_delete=models.PROTECT, related_name="comparisons")
    dialogue = models.ForeignKey(Dialogue, on_delete=models.PROTECT, related_name="comparisons")
    focus = word_field(Focus)
    response_a = models.ForeignKey(Response, on_delete=models.PROTECT, related_name="+")
    response_b = models.ForeignKey(Response, on_delete=models.PROTECT, related_name="+")
    state = word_field(ComparisonState, default=ComparisonState.OPEN)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = ComparisonQuerySet.as_manager()

    class Meta:
        indexes = [models.Index(fields=["batch", "state", "id"], name="comparison_queue")]
        constraints = [
            one_of("focus", Focus, "comparison_focus_is_legal"),
            one_of("state", ComparisonState, "comparison_state_is_legal"),
            models.CheckConstraint(
                condition=~Q(response_a=models.F("response_b")), name="comparison_has_two_responses"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.key[:8]} {self.focus}"


class Lease(models.Model):
    """A slot of a comparison in somebody's hands.

    A comparison of overlap N has slots 0 to N-1, and a slot has one row at most: that unique constraint is the
    last line that keeps a comparison from being judged by more people than planned. Judging keeps the row
    (`judged`), so that nobody is given the same pair twice; an expired row that was never judged is taken over.
    """

    comparison = models.ForeignKey(Comparison, on_delete=models.CASCADE, related_name="leases")
    annotator = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="leases")
    slot = models.PositiveSmallIntegerField()
    expires_at = models.DateTimeField()
    judged = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [models.Index(fields=["annotator", "judged", "expires_at"], name="lease_of_annotator")]
        constraints = [
            models.UniqueConstraint(fields=["comparison", "slot"], name="lease_slot_once"),
            models.UniqueConstraint(fields=["comparison", "annotator"], name="lease_annotator_once"),
        ]

    def __str__(self) -> str:
        return f"{self.comparison_id}/{self.slot}"


class PassQuerySet(models.QuerySet["Pass"]):
    def standing(self) -> Self:
        return self.filter(retracted=False)

    def flags(self) -> Self:
        return self.filter(reason__in=list(FLAGS))

    def waiting(self) -> Self:
        """Flags that a reviewer can still decide on."""
        return (
            self.standing()
            .flags()
            .filter(handled_at=None)
            .exclude(comparison__batch__state=BatchState.SEALED)
        )


class Pass(models.Model):
    """One person passed a pair on, unjudged: a skip or a flag. They are not given it again, unless they take
    it back. A flag waits for a reviewer until `handled_at`."""

    uid = models.UUIDField(
        unique=True, default=uuid.uuid4, help_text="Made by the client, as a judgment's is."
    )
    comparison = models.ForeignKey(Comparison, on_delete=models.PROTECT, related_name="passes")
    annotator = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="passes")
    reason = word_field(PassReason)
    comment = models.TextField(blank=True)
    active_ms = models.PositiveIntegerField(null=True, blank=True, help_text="Time on task in milliseconds.")
    retracted = models.BooleanField(default=False)
    handled_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    handled_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = PassQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "passes"
        ordering = ["-created_at", "-pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["comparison", "annotator"], condition=Q(retracted=False), name="pass_one_standing"
            ),
            one_of("reason", PassReason, "pass_reason_is_legal"),
        ]

    def __str__(self) -> str:
        return f"{self.comparison_id} {self.reason}"
