"""Prompts that annotators write, and each attempt to have one answered."""

from __future__ import annotations

import uuid
from datetime import timedelta

from django.conf import settings
from django.db import models
from django.utils import timezone

from annotation.core.grades import Focus
from annotation.models import Batch, Comparison
from annotation.models.fields import one_of, word_field
from training.core.states import LiveState

LOST = "The answers broke off. Your prompt is kept: ask again."


class LivePrompt(models.Model):
    """A user turn that somebody wrote, kept whatever becomes of its answers.

    While the state is asking, `attempt` names the one attempt whose answers may be stored: whoever wants to
    end it must show that number. An attempt older than its time limit is lost, whatever the state says.
    """

    uid = models.UUIDField(unique=True, default=uuid.uuid4, help_text="Made by the client.")
    annotator = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="live_prompts"
    )
    batch = models.ForeignKey(Batch, on_delete=models.PROTECT, related_name="live_prompts")
    focus = word_field(Focus)
    text = models.TextField()
    messages = models.JSONField(help_text="The dialogue up to and with the text, as {role, content}.")
    continues = models.ForeignKey(
        Comparison,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="continuations",
        help_text="The pair whose chosen answer comes before the text; empty: a new dialogue.",
    )
    state = word_field(LiveState)
    attempt = models.PositiveIntegerField(default=1, help_text="Counted from 1.")
    attempt_at = models.DateTimeField(default=timezone.now)
    message = models.TextField(blank=True, help_text="Why there are no answers, for its writer.")
    comparison = models.OneToOneField(
        Comparison, on_delete=models.PROTECT, null=True, blank=True, related_name="live_prompt"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-pk"]
        indexes = [models.Index(fields=["annotator", "batch", "state"], name="live_of_annotator")]
        constraints = [
            one_of("focus", Focus, "live_focus_is_legal"),
            one_of("state", LiveState, "live_state_is_legal"),
            models.UniqueConstraint(
                fields=["annotator"], condition=models.Q(state=LiveState.ASKING), name="live_one_asking"
            ),
            models.CheckConstraint(
                condition=models.Q(state=LiveState.ANSWERED, comparison__isnull=False)
                | (~models.Q(state=LiveState.ANSWERED) & models.Q(comparison__isnull=True)),
                name="live_answered_has_its_pair",
            ),
        ]

    def __str__(self) -> str:
        return self.text[:80]

    @property
    def lost(self) -> bool:
        """It still counts as asking, but nobody can be at work on it any more."""
        limit = timedelta(seconds=settings.LIVE_SECONDS)
        return self.state == LiveState.ASKING and self.attempt_at + limit < timezone.now()

    @property
    def shown_state(self) -> LiveState:
        return LiveState.FAILED if self.lost else LiveState(self.state)

    @property
    def shown_message(self) -> str:
        return LOST if self.lost else self.message


class LiveAttempt(models.Model):
    """Who was asked, how, and what came of it: what blind pages never show."""

    prompt = models.ForeignKey(LivePrompt, on_delete=models.CASCADE, related_name="attempts")
    number = models.PositiveIntegerField()
    seed = models.PositiveIntegerField(
        help_text="Drawn in secret; fixes sides, temperatures and the seeds of both."
    )
    sides = models.JSONField(
        help_text="Left and right: policy, temperature, top_p, seed; once it has ended latency_ms, tokens, "
        "finish_reason."
    )
    outcome = models.CharField(max_length=32, blank=True, help_text="answered, or a problem's code.")
    started_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["pk"]
        constraints = [models.UniqueConstraint(fields=["prompt", "number"], name="live_attempt_once")]

    def __str__(self) -> str:
        return f"{self.prompt_id}/{self.number}"
