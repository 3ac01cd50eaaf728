"""Labels on the admin's pages: in words, and as fields of a form. Data's terms, never left and right."""

from __future__ import annotations

from typing import Final

from django import forms

from annotation.core.aggregate import Vote
from annotation.core.grades import Choice, Grade, SafetyLabel
from annotation.models.fields import choices_of
from annotation.templatetags.panel import words

CHOOSE: Final = "choose…"
CHOICES: Final = [(Choice.A, "Response A is better"), (Choice.B, "Response B is better")]


def in_words(choice: str, grade: str | None, safety: str | None, tolerance: int | None = None) -> str:
    """A label as the panel says it: "A better ± 1, both safe"."""
    how = words(grade) if grade else "better by any strength"
    within = f" ± {tolerance}" if grade and tolerance else ""
    return f"{choice.upper()} {how}{within}{f', {words(safety)}' if safety else ''}"


def vote_words(vote: Vote) -> str:
    return in_words(vote.choice, vote.grade, vote.safety)


def choice_field() -> forms.ChoiceField:
    return forms.ChoiceField(choices=CHOICES, widget=forms.RadioSelect, label="Label")


def grade_field(nothing: str = "") -> forms.ChoiceField:
    """`nothing`: what an empty one means, where it may be empty."""
    choices = [("", nothing or CHOOSE), *choices_of(Grade)]
    return forms.ChoiceField(choices=choices, required=not nothing, label="How much better")


def safety_field(nothing: str = "") -> forms.ChoiceField:
    choices = [("", nothing or CHOOSE), *choices_of(SafetyLabel)]
    return forms.ChoiceField(choices=choices, required=not nothing, label="Safety label")
