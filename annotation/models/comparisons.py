"""Pairs of responses, who holds which, and who passed which on."""

from __future__ import annotations

import time
import uuid
from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import Q

from annotation.core.allocation import place_of
from annotation.core.grades import Focus
from annotation.core.passes import FLAGS, PassReason
from annotation.core.states import BatchState, ComparisonState
from annotation.models.batches import Batch
from annotation.models.fields import one_of, word_field
from annotation.models.prompts import Dialogue, Response, key_field


def place_now() -> int:
    """At the end of the queue, without a rank."""
    return place_of(time.time_ns() // 1000)


class ComparisonQuerySet(models.QuerySet["Comparison"]):
    def waiting(self) -> Self:
        """Open comparisons of open batches."""
        return self.filter(state=ComparisonState.OPEN, batch__state=BatchState.OPEN)

    def never_held_by(self, annotator_id: int) -> Self:
        """Neither leased to this person, now or before, nor passed on by them."""
        # Scalar subqueries and not EXISTS: PostgreSQL makes joins of the latter and then reads all that a person
        # ever held; these are looked up for one row after the other. And in a CASE, which it takes to be true every
        # second time: "IS NULL" it takes to be rare, and then sorts the week rather than stop at the first hit.
        own = {"comparison": models.OuterRef("pk"), "annotator_id": annotator_id}
        held = Lease.objects.filter(**own).values("pk")[:1]
        passed = Pass.objects.filter(**own).standing().order_by().values("pk")[:1]
        rows = self.alias(held=models.Subquery(held), passed=models.Subquery(passed))
        is_new = models.When(held=None, passed=None, then=models.Value(True))
        field = models.BooleanField()
        return rows.alias(is_new=models.Case(is_new, default=models.Value(False), output_field=field)).filter(
            is_new=True
        )

    def ordinary(self) -> Self:
        """What becomes data: attention checks left out."""
        return self.filter(gold=None)


class Comparison(models.Model):
    """Two responses to one dialogue, to be judged under one focus.

    `free` counts the slots that nobody holds or has judged (services.leases keeps it, under a lock of this row), so
    that the queue's index holds only what can be given.
    """

    key = key_field()
    batch = models.ForeignKey(Batch, on_delete=models.PROTECT, related_name="comparisons")
    dialogue = models.ForeignKey(Dialogue, on_delete=models.PROTECT, related_name="comparisons")
    focus = word_field(Focus)
    response_a = models.ForeignKey(Response, on_delete=models.PROTECT, related_name="+")
    response_b = models.ForeignKey(Response, on_delete=models.PROTECT, related_name="+")
    state = word_field(ComparisonState, default=ComparisonState.OPEN)
    language = models.CharField(max_length=16, blank=True, help_text="Of its prompt; empty: not known.")
    place = models.BigIntegerField(
        default=place_now, help_text="Lower is given first (annotation.core.allocation.place_of)."
    )
    free = models.PositiveSmallIntegerField(default=0, help_text="Slots that can still be given.")
    dispute = models.PositiveSmallIntegerField(
        default=0, help_text="How far apart its judgments are, in steps of the scale; 0: they agree."
    )
    gold = models.ForeignKey(
        "Gold",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="comparisons",
        help_text="The check that it is; empty: an ordinary pair.",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    objects = ComparisonQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["batch", "state", "id"], name="comparison_in_batch"),
            models.Index(
                fields=["batch", "focus", "place"],
                condition=Q(state=ComparisonState.OPEN, free__gt=0),
                name="comparison_queue",
            ),
            models.Index(
                fields=["batch", "focus", "language", "place"],
                condition=Q(state=ComparisonState.OPEN, free__gt=0),
                name="comparison_queue_by_language",
            ),
            models.Index(
                fields=["batch", "-dispute", "id"], condition=Q(dispute__gt=0), name="comparison_disputes"
            ),
        ]
        constraints = [
            one_of("focus", Focus, "comparison_focus_is_legal"),
            one_of("state", ComparisonState, "comparison_state_is_legal"),
            models.UniqueConstraint(
                fields=["batch", "gold"], condition=Q(gold__isnull=False), name="comparison_gold_once_a_batch"
            ),
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
    released = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [
            # Conditional, as SQLite takes no index for "not judged" else.
            models.Index(fields=["annotator", "expires_at"], condition=Q(judged=False), name="lease_in_hand"),
            models.Index(
                fields=["expires_at"], condition=Q(judged=False, released=False), name="lease_to_release"
            ),
        ]
        constraints = [
            models.UniqueConstraint(fields=["comparison", "slot"], name="lease_slot_once"),
            models.UniqueConstraint(fields=["comparison", "annotator"], name="lease_annotator_once"),
            models.CheckConstraint(
                condition=Q(judged=False) | Q(released=False), name="lease_judged_is_not_released"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.comparison_id}/{self.slot}"


class Worklist(models.Model):
    """One person's place in one batch's queue, so that the next pair is found without passing all earlier ones."""

    annotator = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    batch = models.ForeignKey(Batch, on_delete=models.CASCADE, related_name="+")
    given = models.PositiveIntegerField(default=0, help_text="Pairs that they were ever given of it.")
    places = models.JSONField(default=dict, help_text="The place of the last pair given, by focus.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["annotator", "batch"], name="worklist_once")]

    def __str__(self) -> str:
        return f"{self.annotator_id} in {self.batch_id}"


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
