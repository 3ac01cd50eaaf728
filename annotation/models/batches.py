"""The week: guidelines, batches and what happened to them."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from annotation.core.grades import Focus
from annotation.core.states import BatchState
from annotation.models.fields import one_of, word_field


class Guideline(models.Model):
    """One version of the instructions for a focus. A change is a new version; old ones stay."""

    focus = word_field(Focus)
    version = models.PositiveIntegerField()
    text = models.TextField(help_text="Markdown.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["focus", "-version"]
        constraints = [
            one_of("focus", Focus, "guideline_focus_is_legal"),
            models.UniqueConstraint(fields=["focus", "version"], name="guideline_version_once"),
        ]

    def __str__(self) -> str:
        return f"{self.get_focus_display()} v{self.version}"


class GuidelineReading(models.Model):
    """Somebody confirmed having read a version. What changed since their last one is announced once."""

    guideline = models.ForeignKey(Guideline, on_delete=models.CASCADE, related_name="readings")
    annotator = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="readings")
    read_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["annotator", "guideline"], name="reading_once")]

    def __str__(self) -> str:
        return f"{self.guideline} read"


class Batch(models.Model):
    """The comparisons of one week: planned, open, sealed."""

    name = models.CharField(max_length=100, unique=True)
    number = models.PositiveIntegerField(unique=True, help_text="The week, counted from 1.")
    state = word_field(BatchState, default=BatchState.PLANNED)
    overlap = models.PositiveSmallIntegerField(default=1, help_text="How many people judge each comparison.")
    holdout = models.PositiveIntegerField(
        default=1000, help_text="Examples held out for testing at sealing; small batches hold out a share."
    )
    seed = models.PositiveIntegerField(default=0, help_text="Fixes side order and hold-out.")
    turn_limit = models.PositiveSmallIntegerField(
        default=4, help_text="User turns that a dialogue written live may have; 0: nobody writes prompts."
    )
    daily_target = models.PositiveIntegerField(
        default=0, help_text="Judgments that one person is asked for a day; 0: no target."
    )
    shows_agreement = models.BooleanField(
        default=True, help_text="Annotators see how often they agree with the others."
    )
    time_zone = models.CharField(
        max_length=64, default="UTC", help_text="In which the week's times are meant and shown."
    )
    opens_at = models.DateTimeField(null=True, blank=True, help_text="Opens by itself then; empty: by hand.")
    seals_at = models.DateTimeField(null=True, blank=True, help_text="Seals by itself then; empty: by hand.")
    target = models.PositiveIntegerField(default=0, help_text="Comparisons wanted; 0: no target.")
    person_quota = models.PositiveIntegerField(
        default=0, help_text="Most judgments that one person may make in it; 0: no limit."
    )
    needs_certificate = models.BooleanField(
        default=False, help_text="Only people who qualified for a focus are given its pairs."
    )
    gold_rate = models.FloatField(
        default=0.0, help_text="Share of the pairs a person is given that are attention checks."
    )
    gold_feedback = models.BooleanField(
        default=False, help_text="After a check people are told what was expected, and why."
    )
    guidelines = models.ManyToManyField(
        Guideline, blank=True, related_name="batches", help_text="Versions meant; empty: the newest ones."
    )
    plan = models.JSONField(
        default=dict, blank=True, help_text="What is sampled for it (annotation.core.plan)."
    )
    opened_at = models.DateTimeField(null=True, blank=True)
    sealed_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-number"]
        verbose_name_plural = "batches"
        constraints = [
            one_of("state", BatchState, "batch_state_is_legal"),
            models.CheckConstraint(condition=models.Q(overlap__gte=1), name="batch_overlap_is_positive"),
            models.CheckConstraint(
                condition=models.Q(gold_rate__gte=0, gold_rate__lte=0.5), name="batch_gold_rate_is_a_share"
            ),
            models.CheckConstraint(
                condition=models.Q(opens_at=None)
                | models.Q(seals_at=None)
                | models.Q(seals_at__gt=models.F("opens_at")),
                name="batch_seals_after_it_opens",
            ),
            models.CheckConstraint(
                condition=models.Q(state=BatchState.SEALED, sealed_at__isnull=False)
                | (~models.Q(state=BatchState.SEALED) & models.Q(sealed_at__isnull=True)),
                name="batch_sealed_has_its_time",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class BatchEvent(models.Model):
    """One move of a batch, written in the transaction that made it."""

    batch = models.ForeignKey(Batch, on_delete=models.CASCADE, related_name="events")
    state = word_field(BatchState)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True)
    detail = models.JSONField(default=dict, blank=True)
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["at", "pk"]

    def __str__(self) -> str:
        return f"{self.batch} {self.state}"
