"""What people said. Rows are only ever added."""

from __future__ import annotations

import uuid
from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import Q

from annotation.core.grades import Choice, Focus, Grade, SafetyLabel
from annotation.models.batches import Guideline
from annotation.models.comparisons import Comparison
from annotation.models.fields import one_of, word_field


class JudgmentQuerySet(models.QuerySet["Judgment"]):
    def effective(self) -> Self:
        """The judgments that count: current, and not taken back."""
        return self.filter(current=True, retracted=False)

    def of_annotators(self) -> Self:
        """Without the labels that reviewers set."""
        return self.exclude(source=Judgment.Source.REVIEW)

    def counting(self) -> Self:
        """What annotators say of ordinary pairs: attention checks left out too."""
        return self.effective().of_annotators().filter(comparison__gold=None)


class Judgment(models.Model):
    """One person's forced choice on one comparison.

    Append-only: an edit or an undo is a further row that `supersedes` the earlier one, and only `current` of
    the earlier row changes. An undo has `retracted` set and carries no choice. `grade` may be empty only for
    imported preferences that stated no strength, and a safety comparison may lack its label only there. A label
    that a reviewer sets is a further row with the source `review`; one a comparison counts.
    """

    class Source(models.TextChoices):
        PERSON = "person", "person"
        SIMULATED = "simulated", "simulated"
        IMPORT = "import", "import"
        REVIEW = "review", "review"

    uid = models.UUIDField(
        unique=True, default=uuid.uuid4, help_text="Made by the client: the same one twice is one judgment."
    )
    comparison = models.ForeignKey(Comparison, on_delete=models.PROTECT, related_name="judgments")
    annotator = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="judgments"
    )
    focus = word_field(Focus)
    choice = word_field(Choice, blank=True)
    grade = word_field(Grade, blank=True)
    safety = word_field(SafetyLabel, blank=True)
    comment = models.TextField(blank=True)
    left = word_field(Choice, blank=True, help_text="Which response stood on the left; empty: unknown.")
    guideline = models.ForeignKey(Guideline, on_delete=models.PROTECT, null=True, blank=True)
    active_ms = models.PositiveIntegerField(null=True, blank=True, help_text="Time on task in milliseconds.")
    source = models.CharField(max_length=16, choices=Source.choices, default=Source.PERSON)
    retracted = models.BooleanField(default=False)
    current = models.BooleanField(default=True)
    supersedes = models.OneToOneField(
        "self", on_delete=models.PROTECT, null=True, blank=True, related_name="superseded_by"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    objects = JudgmentQuerySet.as_manager()

    class Meta:
        indexes = [models.Index(fields=["annotator", "-created_at"], name="judgment_history")]
        constraints = [
            models.UniqueConstraint(
                fields=["comparison", "annotator"], condition=Q(current=True), name="judgment_one_current"
            ),
            models.UniqueConstraint(
                fields=["comparison"],
                condition=Q(current=True, retracted=False, source="review"),
                name="judgment_one_adjudication",
            ),
            one_of("focus", Focus, "judgment_focus_is_legal"),
            one_of("grade", Grade, "judgment_grade_is_legal", blank=True),
            one_of("source", ("person", "simulated", "import", "review"), "judgment_source_is_legal"),
            models.CheckConstraint(
                condition=Q(retracted=True, choice="", grade="", safety="")
                | Q(retracted=False, choice__in=[c.value for c in Choice]),
                name="judgment_is_a_forced_choice",
            ),
            models.CheckConstraint(
                condition=Q(retracted=True) | Q(source="import") | ~Q(grade=""), name="judgment_has_a_grade"
            ),
            models.CheckConstraint(
                condition=Q(safety="") | Q(focus=Focus.SAFETY, safety__in=[s.value for s in SafetyLabel]),
                name="judgment_safety_is_legal",
            ),
            models.CheckConstraint(
                condition=Q(retracted=True) | Q(source="import") | ~Q(focus=Focus.SAFETY) | ~Q(safety=""),
                name="judgment_safety_is_given",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.comparison_id} {self.choice} {self.grade}"
