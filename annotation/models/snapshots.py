"""Frozen datasets."""

from __future__ import annotations

from django.db import models

from annotation.core.grades import MarginTable
from annotation.models.batches import Batch
from annotation.models.fields import one_of, word_field


class Snapshot(models.Model):
    """An immutable file of aggregated comparisons, named by its content."""

    name = models.CharField(max_length=100, unique=True)
    sha256 = models.CharField(max_length=64)
    batches = models.ManyToManyField(Batch, related_name="snapshots")
    margin_table = word_field(MarginTable, default=MarginTable.SMALL)
    aggregation = models.CharField(
        max_length=32, default="majority/1", help_text="How several judgments became rows, and its version."
    )
    rows = models.PositiveIntegerField()
    counts = models.JSONField(
        default=dict, help_text="Rows by split, focus, grade and label; what was left out."
    )
    path = models.CharField(max_length=500, help_text="Folder below MARGIN_HOME.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created_at", "-pk"]
        constraints = [
            models.UniqueConstraint(fields=["sha256"], name="snapshot_content_once"),
            one_of("margin_table", MarginTable, "snapshot_margin_table_is_legal"),
        ]

    def __str__(self) -> str:
        return self.name
