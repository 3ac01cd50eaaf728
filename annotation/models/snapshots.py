"""Frozen datasets: what each holds, and its files."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from annotation.core.grades import MarginTable
from annotation.core.states import SnapshotState
from annotation.models.batches import Batch
from annotation.models.fields import one_of, word_field


class Snapshot(models.Model):
    """An immutable dataset, named by its content once it is written.

    A withdrawal of rows is a further version of the same name: `parent` is the one it replaces, `reason` says why.
    """

    name = models.CharField(max_length=100)
    version = models.PositiveIntegerField(default=1)
    parent = models.OneToOneField(
        "self", on_delete=models.PROTECT, null=True, blank=True, related_name="replaced_by"
    )
    reason = models.TextField(blank=True, help_text="Why this version was made; empty for a first one.")
    state = word_field(SnapshotState, default=SnapshotState.WAITING)
    recipe = models.JSONField(
        default=dict, blank=True, help_text="What was asked for (annotation.core.recipe)."
    )
    sha256 = models.CharField(
        max_length=64, blank=True, help_text="Of its content; empty until it is written."
    )
    batches = models.ManyToManyField(Batch, related_name="snapshots")
    margin_table = word_field(MarginTable, default=MarginTable.SMALL)
    aggregation = models.CharField(
        max_length=32, default="majority/1", help_text="How several judgments became rows, and its version."
    )
    rows = models.PositiveIntegerField(default=0, help_text="While it is written: so many are written.")
    counts = models.JSONField(
        default=dict, blank=True, help_text="Rows by split, focus, grade and label; what was left out."
    )
    formats = models.JSONField(
        default=list, blank=True, help_text="Further formats asked for, by name; written once it is ready."
    )
    path = models.CharField(max_length=500, blank=True, help_text="Folder below the store of snapshots.")
    error = models.TextField(blank=True, help_text="Why it could not be written.")
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    claim = models.UUIDField(null=True, blank=True, help_text="Of the process that writes it.")
    beat_at = models.DateTimeField(null=True, blank=True, help_text="When that process last said it lives.")
    attempt = models.PositiveSmallIntegerField(default=0, help_text="How often its writing was begun.")
    created_at = models.DateTimeField(auto_now_add=True)
    written_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at", "-pk"]
        constraints = [
            models.UniqueConstraint(fields=["name", "version"], name="snapshot_version_once"),
            models.UniqueConstraint(fields=["sha256"], condition=~Q(sha256=""), name="snapshot_content_once"),
            one_of("margin_table", MarginTable, "snapshot_margin_table_is_legal"),
            one_of("state", SnapshotState, "snapshot_state_is_legal"),
            models.CheckConstraint(
                condition=~Q(state__in=[SnapshotState.READY, SnapshotState.WITHDRAWN]) | ~Q(sha256=""),
                name="snapshot_written_has_its_hash",
            ),
        ]

    def __str__(self) -> str:
        return self.name if self.version == 1 else f"{self.name} v{self.version}"


class SnapshotFile(models.Model):
    """One file of a snapshot. Another format of the same rows may be added later; none is ever changed."""

    snapshot = models.ForeignKey(Snapshot, on_delete=models.CASCADE, related_name="files")
    path = models.CharField(max_length=200, help_text="Below the snapshot's folder.")
    format = models.CharField(
        max_length=32, help_text="Name of the format; empty: card and manifest.", blank=True
    )
    split = models.CharField(max_length=8, blank=True)
    media_type = models.CharField(max_length=64)
    bytes = models.PositiveBigIntegerField()
    rows = models.PositiveIntegerField(null=True, blank=True)
    sha256 = models.CharField(max_length=64)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["path"]
        constraints = [models.UniqueConstraint(fields=["snapshot", "path"], name="snapshot_file_once")]

    def __str__(self) -> str:
        return self.path
