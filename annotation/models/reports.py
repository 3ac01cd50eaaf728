"""What annotators say of the guidelines."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models

from annotation.models.batches import Guideline
from annotation.models.comparisons import Comparison


class GuidelineReport(models.Model):
    """A bug in the guidelines: a case they leave open, contradict or get wrong."""

    uid = models.UUIDField(
        unique=True, default=uuid.uuid4, help_text="Made by the client, as a judgment's is."
    )
    guideline = models.ForeignKey(Guideline, on_delete=models.PROTECT, related_name="reports")
    annotator = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="reports")
    comparison = models.ForeignKey(
        Comparison,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        help_text="The pair at hand.",
    )
    text = models.TextField()
    handled_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    handled_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created_at", "-pk"]

    def __str__(self) -> str:
        return f"{self.guideline}: {self.text[:60]}"
