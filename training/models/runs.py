"""Computations with a model, what happened to them, and the workers that are alive."""

from __future__ import annotations

import uuid
from datetime import timedelta
from pathlib import Path
from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from annotation.models.fields import one_of, word_field
from training.core.spec import RunKind
from training.core.states import RunState
from training.models.policies import Iteration


class RunQuerySet(models.QuerySet["Run"]):
    def silent(self) -> Self:
        """Claimed, but not heard of for longer than a living launcher could be."""
        limit = timezone.now() - timedelta(seconds=settings.RUN_SILENCE)
        return self.filter(state__in=(RunState.RUNNING, RunState.CANCELLING), heartbeat_at__lt=limit)

    def forgotten(self) -> Self:
        """Queued for so long that the message which announced it may be lost."""
        limit = timezone.now() - timedelta(seconds=settings.RUN_SILENCE)
        return self.filter(state=RunState.QUEUED, announced_at__lt=limit)


class Run(models.Model):
    """One computation with a model, in a process of its own. This row is the truth; the broker is a hint.

    `claim` names the launcher that holds the run: whoever wants to change a running run must show it.
    """

    uid = models.UUIDField(unique=True, default=uuid.uuid4, editable=False)
    key = models.CharField(
        max_length=200,
        unique=True,
        null=True,
        blank=True,
        help_text="Given where a second start must not happen.",
    )
    kind = word_field(RunKind)
    state = word_field(RunState, default=RunState.QUEUED)
    params = models.JSONField(default=dict)
    inputs = models.JSONField(default=dict, help_text="Rows it reads and writes, by primary key.")
    seed = models.PositiveIntegerField(default=0)
    iteration = models.ForeignKey(
        Iteration, on_delete=models.PROTECT, null=True, blank=True, related_name="runs"
    )
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="runs"
    )
    attempt = models.PositiveSmallIntegerField(default=0)
    claim = models.UUIDField(null=True, blank=True)
    announced_at = models.DateTimeField(default=timezone.now)
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    stage = models.CharField(max_length=100, blank=True)
    done = models.PositiveIntegerField(default=0)
    total = models.PositiveIntegerField(default=0)
    unit = models.CharField(max_length=32, blank=True)
    message = models.TextField(blank=True, help_text="Why it ended as it did, in a sentence.")
    result = models.JSONField(default=dict, blank=True)
    events_read = models.PositiveBigIntegerField(
        default=0, help_text="Bytes of its event stream already stored."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    objects = RunQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]
        indexes = [models.Index(fields=["state", "heartbeat_at"], name="run_sweep")]
        constraints = [
            one_of("kind", RunKind, "run_kind_is_legal"),
            one_of("state", RunState, "run_state_is_legal"),
            models.CheckConstraint(
                condition=~Q(state__in=(RunState.RUNNING, RunState.CANCELLING)) | Q(claim__isnull=False),
                name="run_at_work_is_claimed",
            ),
        ]

    def __str__(self) -> str:
        return f"run {self.pk} {self.kind}"

    @property
    def folder(self) -> Path:
        """Where its process reads and writes."""
        return Path(settings.MARGIN_HOME) / "runs" / str(self.uid)

    @property
    def percent(self) -> int | None:
        """Progress of the stage at work, 0 to 100; None while nothing is known."""
        return round(100 * self.done / self.total) if self.total else None


class RunEvent(models.Model):
    """One thing that happened to a run: its moves, and what its process said."""

    # The index by run and order serves look-ups by run too.
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="events", db_index=False)
    type = models.CharField(max_length=32)
    data = models.JSONField(default=dict)
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["pk"]
        indexes = [
            models.Index(fields=["run", "type"], name="event_of_run"),
            models.Index(fields=["run", "id"], name="event_in_order"),
        ]

    def __str__(self) -> str:
        return f"{self.run_id} {self.type}"


class ScoreItems(models.Model):
    """The texts that a run of the kind score is asked about; apart from the run, whose rows are read in lists."""

    run = models.OneToOneField(Run, on_delete=models.CASCADE, related_name="items")
    data = models.JSONField(help_text="As the request gave them: {messages, responses} each.")

    def __str__(self) -> str:
        return f"{self.run_id}: {len(self.data)} items"


class WorkerBeat(models.Model):
    """A worker that consumes runs, and when it was last alive: pages say so where none is."""

    name = models.CharField(max_length=200, unique=True)
    seen_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.name
