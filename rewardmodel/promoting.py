"""What the admin shows of promotions: a badge, the comparison by grade, the history, and the page that asks why.

Knows standings and looks. The services decide.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django import forms
from django.utils.html import format_html
from django.utils.safestring import SafeString

from annotation.admin.base import ServiceView, person
from rewardmodel.core.promotion import Finding, Row
from rewardmodel.models import Promotion, RewardModelVersion
from rewardmodel.services import override_promotion
from rewardmodel.services.promotions import LONGEST_REASON
from rewardmodel.standing import Standing, standing_of

TONES = {Finding.BETTER: "good", Finding.NOT_WORSE: "good", Finding.WORSE: "bad", Finding.TOO_FEW: "quiet"}
HOW = {
    "first": "the first of its focus",
    "rule": "by the rule, in the place of {}",
    "override": "by decision, in the place of {}",
    "rollback": "by a roll-back from {}",
}


def badge(word: str, tone: str = "good") -> SafeString:
    """The colour says nothing that the word does not say."""
    return format_html('<span class="m-state" data-tone="{}">{}</span>', tone, word)


@dataclass(frozen=True, slots=True)
class Line:
    """A grade of the comparison, as its cells say it."""

    name: str
    pairs: str
    candidate: str
    current: str
    points: str
    finding: SafeString
    sentence: str


def comparison_rows(standing: Standing) -> list[Line]:
    """Grade by grade, all grades last; empty where nothing was compared."""
    verdict = standing.verdict
    return [_line(row) for row in verdict.rows] if verdict is not None and verdict.overall.pairs else []


def _line(row: Row) -> Line:
    return Line(
        name=row.name,
        pairs=f"{row.pairs:,} pair{'s' * (row.pairs != 1)}",
        candidate=_percent(row.candidate),
        current=_percent(row.current),
        points=row.points,
        finding=badge(row.finding.replace("_", " "), TONES[row.finding]),
        sentence=row.sentence,
    )


def _percent(share: float | None) -> str:
    return "—" if share is None else f"{100 * share:.1f} %"


def promotion_rows(history: list[Promotion]) -> list[tuple[Promotion, str]]:
    """Each with how it came about, in words."""
    return [(one, HOW[one.how].format(one.previous or "none")) for one in history]


class OverrideForm(forms.Form):
    reason = forms.CharField(
        max_length=LONGEST_REASON,
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text="Kept with the promotion and in the audit. Name no person in it.",
    )


class OverrideView(ServiceView):
    """Promote a version that the rule does not pass."""

    title = "Promote anyway"
    submit = "Promote"
    form_class = OverrideForm

    @cached_property
    def version(self) -> RewardModelVersion:
        row: RewardModelVersion = self.admin.row(self.request, self.kwargs["object_id"])
        return row

    @cached_property
    def standing(self) -> Standing:
        return standing_of(self.version)

    def blocked(self) -> str:
        if self.standing.is_current:
            return f"{self.version} is the current {self.version.focus} model already."
        return ""

    def facts(self) -> list[tuple[str, str, str]]:
        rows = [
            (line.name, line.points, f"{line.pairs}. {line.sentence}")
            for line in comparison_rows(self.standing)
        ]
        current = self.standing.current
        return [("Takes the place of", current.name if current else "none", ""), *rows]

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        self.lead = self.standing.sentence
        return super().get_context_data(original=self.version, **kwargs)

    def act(self, form: Any) -> str:
        by = person(self.request)
        override_promotion(version=self.version, reason=form.cleaned_data["reason"], by=by)
        self.say(f"{self.version} is the current {self.version.focus} model.")
        return self.back()

    def back(self) -> str:
        return self.admin.address("change", self.version.pk)
