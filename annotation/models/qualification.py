"""How somebody qualifies for a focus: steps in order, attempts at them, certificates (appendix A.5.4)."""

from __future__ import annotations

from enum import StrEnum
from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from annotation.core.grades import Focus
from annotation.models.fields import one_of, word_field
from annotation.models.gold import Gold


class StepKind(StrEnum):
    """What a step asks for."""

    QUIZ = "quiz"  # questions with options; scored at once
    RATING = "rating"  # pairs to rate against references; scored at once
    WRITING = "writing"  # prompts to write; a reviewer gives 1 to 5 points for each


class AttemptState(StrEnum):
    """One go at a step."""

    OPEN = "open"  # being answered; its clock runs
    SUBMITTED = "submitted"  # waits for a reviewer
    PASSED = "passed"
    FAILED = "failed"


class QualificationStep(models.Model):
    """One test on the way to a focus. All active steps of a focus, passed in order, make a certificate."""

    focus = word_field(Focus)
    position = models.PositiveSmallIntegerField(help_text="Steps are taken in this order.")
    kind = word_field(StepKind)
    title = models.CharField(max_length=100)
    intro = models.TextField(blank=True, help_text="Markdown, shown before the clock starts.")
    minutes = models.PositiveSmallIntegerField(default=0, help_text="Time limit; 0: none.")
    pass_share = models.FloatField(
        default=0.8, help_text="Share of right answers, or of points, from which it is passed."
    )
    fewest = models.PositiveSmallIntegerField(
        default=0, help_text="Answers that must be given at least; 0: all of them."
    )
    attempts = models.PositiveSmallIntegerField(default=2, help_text="How often one may try; 0: any number.")
    wait_hours = models.PositiveSmallIntegerField(default=24, help_text="Between two tries.")
    valid_days = models.PositiveSmallIntegerField(
        default=0, help_text="After which its pass no longer counts; 0: never."
    )
    active = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["focus", "position"]
        constraints = [
            one_of("focus", Focus, "step_focus_is_legal"),
            one_of("kind", StepKind, "step_kind_is_legal"),
            models.UniqueConstraint(
                fields=["focus", "position"], condition=Q(active=True), name="step_position_once"
            ),
            models.CheckConstraint(
                condition=Q(pass_share__gt=0, pass_share__lte=1), name="step_pass_share_is_a_share"
            ),
        ]

    def __str__(self) -> str:
        return self.title


class Question(models.Model):
    """One question of a step. A quiz has options and the numbers of the right ones; a rating has a check, whose
    label is the reference; a writing task has its text alone."""

    step = models.ForeignKey(QualificationStep, on_delete=models.CASCADE, related_name="questions")
    position = models.PositiveSmallIntegerField()
    text = models.TextField(blank=True, help_text="Markdown.")
    options = models.JSONField(default=list, blank=True)
    right = models.JSONField(default=list, blank=True, help_text="Numbers of the right options, from 0.")
    gold = models.ForeignKey(Gold, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    explanation = models.TextField(blank=True, help_text="Shown once the step is passed or failed.")

    class Meta:
        ordering = ["position", "pk"]
        constraints = [models.UniqueConstraint(fields=["step", "position"], name="question_position_once")]

    def __str__(self) -> str:
        return f"{self.step} {self.position}"


class Attempt(models.Model):
    """Somebody's go at a step. Answers are stored as they are given, so that a lost connection loses nothing."""

    step = models.ForeignKey(QualificationStep, on_delete=models.PROTECT, related_name="tries")
    annotator = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="tries")
    number = models.PositiveSmallIntegerField()
    state = word_field(AttemptState, default=AttemptState.OPEN)
    started_at = models.DateTimeField(auto_now_add=True)
    deadline = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    score = models.FloatField(null=True, blank=True, help_text="Share of right answers, or of points.")
    reviewed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )

    class Meta:
        ordering = ["-started_at", "-pk"]
        constraints = [
            one_of("state", AttemptState, "attempt_state_is_legal"),
            models.UniqueConstraint(fields=["step", "annotator", "number"], name="attempt_number_once"),
            models.UniqueConstraint(
                fields=["step", "annotator"], condition=Q(state="open"), name="attempt_one_open"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.step}, try {self.number}"


class AttemptAnswer(models.Model):
    """What was answered to one question; `right` or `points` is what it earned."""

    attempt = models.ForeignKey(Attempt, on_delete=models.CASCADE, related_name="answers")
    question = models.ForeignKey(Question, on_delete=models.PROTECT, related_name="+")
    value = models.JSONField()
    right = models.BooleanField(null=True, blank=True)
    points = models.PositiveSmallIntegerField(null=True, blank=True, help_text="1 to 5, by a reviewer.")
    comment = models.TextField(blank=True, help_text="The reviewer's, shown to the annotator.")
    saved_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["question__position", "pk"]
        constraints = [models.UniqueConstraint(fields=["attempt", "question"], name="answer_once")]

    def __str__(self) -> str:
        return f"{self.attempt}: {self.question_id}"


class CertificateQuerySet(models.QuerySet["Certificate"]):
    def valid(self) -> Self:
        return self.filter(revoked_at=None).filter(Q(expires_at=None) | Q(expires_at__gt=timezone.now()))


class Certificate(models.Model):
    """Somebody may be given pairs of a focus: they passed its steps, or an administrator vouches for them."""

    annotator = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="certificates"
    )
    focus = word_field(Focus)
    granted_at = models.DateTimeField(auto_now_add=True)
    granted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    reason = models.TextField(blank=True, help_text="Why it was vouched for or revoked.")

    objects = CertificateQuerySet.as_manager()

    class Meta:
        ordering = ["-granted_at", "-pk"]
        constraints = [
            one_of("focus", Focus, "certificate_focus_is_legal"),
            models.UniqueConstraint(
                fields=["annotator", "focus"], condition=Q(revoked_at=None), name="certificate_one_standing"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.focus}"
