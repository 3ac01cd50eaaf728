"""Attention checks: pairs whose label is known, and how people did on them."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from annotation.core.grades import Choice, Focus, Grade, SafetyLabel
from annotation.models.fields import one_of, word_field
from annotation.models.prompts import Dialogue, Response


class Gold(models.Model):
    """A pair with a known label. Each batch that draws it has a comparison of its own for it, so that the check is
    sealed with the week; no such comparison is ever exported."""

    class Origin(models.TextChoices):
        WRITTEN = "written", "set by a researcher"
        PROMOTED = "promoted", "people agreed on it"
        ADJUDICATED = "adjudicated", "adjudicated by a reviewer"

    dialogue = models.ForeignKey(Dialogue, on_delete=models.PROTECT, related_name="+")
    response_a = models.ForeignKey(Response, on_delete=models.PROTECT, related_name="+")
    response_b = models.ForeignKey(Response, on_delete=models.PROTECT, related_name="+")
    focus = word_field(Focus)
    choice = word_field(Choice)
    grade = word_field(Grade, blank=True, help_text="Empty: any strength is right.")
    tolerance = models.PositiveSmallIntegerField(
        default=1, help_text="Steps of the scale by which a grade may be off."
    )
    safety = word_field(SafetyLabel, blank=True, help_text="Empty: any label is right.")
    reason = models.TextField(blank=True, help_text="Why, in words for annotators.")
    origin = models.CharField(max_length=16, choices=Origin.choices, default=Origin.WRITTEN)
    source = models.OneToOneField(
        "annotation.Comparison",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="promoted_to",
        help_text="The pair that it was.",
    )
    active = models.BooleanField(default=True, help_text="Drawn for batches that open from now on.")
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name_plural = "gold"
        ordering = ["-created_at", "-pk"]
        constraints = [
            one_of("focus", Focus, "gold_focus_is_legal"),
            one_of("choice", Choice, "gold_choice_is_legal"),
            one_of("grade", Grade, "gold_grade_is_legal", blank=True),
            models.CheckConstraint(
                condition=Q(safety="") | Q(focus=Focus.SAFETY, safety__in=[s.value for s in SafetyLabel]),
                name="gold_safety_is_legal",
            ),
            models.UniqueConstraint(
                fields=["dialogue", "response_a", "response_b", "focus"], name="gold_once_a_pair"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.focus} check {self.pk}"


class GoldMark(models.Model):
    """How somebody's first answer to a check was. What they change afterwards does not change it."""

    gold = models.ForeignKey(Gold, on_delete=models.PROTECT, related_name="marks")
    annotator = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="marks")
    judgment = models.OneToOneField("annotation.Judgment", on_delete=models.PROTECT, related_name="mark")
    right = models.BooleanField()
    detail = models.JSONField(default=dict, help_text="Which part was off (annotation.core.attention).")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [models.Index(fields=["annotator", "-created_at"], name="mark_window")]

    def __str__(self) -> str:
        return f"{self.gold}: {'right' if self.right else 'wrong'}"
