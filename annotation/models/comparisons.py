"""Pairs of responses, and who holds which."""

from __future__ import annotations

from datetime import datetime
from typing import Self

from django.conf import settings
from django.db import models
from django.db.models.functions import Coalesce

from annotation.core.grades import Focus
from annotation.core.states import BatchState, ComparisonState
from annotation.models.batches import Batch
from annotation.models.fields import one_of, word_field
from annotation.models.prompts import Dialogue, Response, key_field


class ComparisonQuerySet(models.QuerySet["Comparison"]):
    def waiting(self) -> Self:
        """Open comparisons of open batches."""
        return self.filter(state=ComparisonState.OPEN, batch__state=BatchState.OPEN)

    def never_held_by(self, annotator_id: int) -> Self:
        held = Lease.objects.filter(comparison=models.OuterRef("pk"), annotator_id=annotator_id)
        return self.exclude(models.Exists(held))

    def with_free_slot(self, now: datetime, *, overlap: int, beside: int | None = None) -> Self:
        """Fewer judged or live slots than `overlap`, those of annotator `beside` not counted."""
        taken = (
            Lease.objects.filter(comparison=models.OuterRef("pk"))
            .filter(models.Q(judged=True) | models.Q(expires_at__gt=now))
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
                condition=~models.Q(response_a=models.F("response_b")), name="comparison_has_two_responses"
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
