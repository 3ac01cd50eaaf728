"""What reviewers decided on pairs that people judged differently."""

from __future__ import annotations

from enum import StrEnum

from django.conf import settings
from django.db import models

from annotation.models.comparisons import Comparison
from annotation.models.fields import one_of, word_field
from annotation.models.judgments import Judgment


class Decision(StrEnum):
    """What a reviewer did."""

    APPROVED = "approved"  # one of the judgments is right: its label is the adjudicated one
    CORRECTED = "corrected"  # none is quite right: the reviewer set the label
    RETURNED = "returned"  # its annotator is asked to look again
    DISMISSED = "dismissed"  # the difference stays: the pair is close


class Review(models.Model):
    """One decision. `adjudication` is the row that it added, `judgment` the one that it is about."""

    comparison = models.ForeignKey(Comparison, on_delete=models.PROTECT, related_name="reviews")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="reviews")
    decision = word_field(Decision)
    judgment = models.ForeignKey(
        Judgment, on_delete=models.PROTECT, null=True, blank=True, related_name="reviews"
    )
    adjudication = models.OneToOneField(
        Judgment, on_delete=models.PROTECT, null=True, blank=True, related_name="review"
    )
    feedback = models.TextField(blank=True, help_text="Shown to the annotator.")
    seen_at = models.DateTimeField(null=True, blank=True, help_text="When the annotator read it.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created_at", "-pk"]
        indexes = [models.Index(fields=["comparison", "-created_at"], name="review_of_comparison")]
        constraints = [one_of("decision", Decision, "review_decision_is_legal")]

    def __str__(self) -> str:
        return f"{self.comparison} {self.decision}"
