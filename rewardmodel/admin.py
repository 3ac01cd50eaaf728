"""Reward model versions: what was trained on what, how well it judges, and where people say the opposite."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.safestring import SafeString
from unfold.decorators import display

from annotation.admin.base import RoleAdmin, person
from annotation.admin.data import excerpt
from annotation.core.grades import Focus, Grade
from annotation.models import Batch, Role, User
from annotation.templatetags.panel import brief, moment, words
from rewardmodel import queries
from rewardmodel.models import PairScore, RewardModelVersion

PROBABILITIES: Final = (50, 20, 10, 5, 1)  # percent: below which of them the people's choice is worth a look
USUAL: Final = 20
JUDGMENTS: Final = {1: "one or more", 2: "two or more", 3: "three or more"}


@admin.register(RewardModelVersion)
class RewardModelAdmin(RoleAdmin):
    list_display = (
        "name",
        "focus",
        "recipe",
        "accuracy",
        "pairs",
        "snapshot",
        "backbone",
        "content",
        "trained",
    )
    list_filter = ("focus", "recipe")
    search_fields = ("name", "sha256", "run")
    list_select_related = ("snapshot",)
    page_template = "admin/rewardmodel/page.html"

    def page_context(self, request: HttpRequest, obj: RewardModelVersion) -> dict[str, Any]:
        return {"grades": _by_grade(obj.metrics)}

    @display(description="Accuracy, %")
    def accuracy(self, version: RewardModelVersion) -> str:
        return percent(version.metrics.get("accuracy"))

    @display(description="Pairs")
    def pairs(self, version: RewardModelVersion) -> str:
        return f"{version.metrics.get('pairs', 0):,}"

    @display(description="SHA-256")
    def content(self, version: RewardModelVersion) -> SafeString:
        return brief(version.sha256)

    @display(description="Trained", ordering="created_at")
    def trained(self, version: RewardModelVersion) -> SafeString | str:
        return moment(version.created_at)


@dataclass(frozen=True, slots=True)
class Asked:
    """What of the queue an address asks for; anything that it does not understand is the usual."""

    batch: int
    model: int
    focus: str
    below: int
    people: int
    after: int

    @classmethod
    def of(cls, request: HttpRequest) -> Asked:
        given = {name: str(request.GET.get(name, "")) for name in cls.__slots__}
        number = {
            name: int(text) if text.isdecimal() and len(text) < 18 else 0 for name, text in given.items()
        }
        return cls(
            batch=number["batch"],
            model=number["model"],
            focus=given["focus"] if given["focus"] in list(Focus) else "",
            below=number["below"] if number["below"] in PROBABILITIES else USUAL,
            people=number["people"] if number["people"] in JUDGMENTS else 1,
            after=number["after"],
        )


@admin.register(PairScore)
class PairScoreAdmin(RoleAdmin):
    """People against the reward model: the queue in the place of a list."""

    view_role = Role.REVIEWER

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> TemplateResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        asked = Asked.of(request)
        weeks = queries.scored_batches()
        batch = next((week for week in weeks if week.pk == asked.batch), weeks[0] if weeks else None)
        models = queries.scoring_models(batch) if batch else []
        found = _found(person(request), asked, batch, models) if batch else []
        return self.render(
            request,
            "admin/rewardmodel/against.html",
            title="People against the reward model",
            rows=[_row(one) for one in found[: queries.PAGE]],
            older=found[queries.PAGE - 1].score.pk if len(found) > queries.PAGE else "",
            asked=asked,
            batch=batch,
            weeks=weeks,
            models=models,
            focuses=list(Focus),
            probabilities=PROBABILITIES,
            judgments=JUDGMENTS,
        )


def _found(
    reviewer: User, asked: Asked, batch: Batch, models: list[RewardModelVersion]
) -> list[queries.Against]:
    """A page of the queue and one pair more, where there is one."""
    chosen = [model for model in models if model.pk == asked.model] or queries.newest_of_each_focus(models)
    return queries.against_people(
        reviewer,
        batch=batch,
        models=[model for model in chosen if asked.focus in ("", model.focus)],
        below=asked.below / 100,
        people=asked.people,
        after=asked.after,
        limit=queries.PAGE + 1,
    )


def _row(one: queries.Against) -> tuple[str, str, str, str, PairScore]:
    """Address, prompt, what people said, the model's probability of it in percent, and the score."""
    pair, people = one.score.comparison, one.people
    how = f", {words(people.grade)}" if people.grade else ""
    said = f"{one.agreeing} of {people.judgments} chose {people.choice.upper()}{how}"
    address = reverse("admin:annotation_review_pair", args=(pair.pk,))
    return address, excerpt(pair.dialogue.prompt.text), said, percent(one.probability), one.score


def percent(share: float | None) -> str:
    return "—" if share is None else f"{100 * share:.1f}"


def _by_grade(metrics: dict[str, Any]) -> list[tuple[str, str, int]]:
    """Grade, accuracy in percent, pairs; strongest grade first, pairs without one last."""
    found = metrics.get("by_grade") or {}
    order = [*Grade, "none"]
    return [
        (str(grade).replace("_", " "), percent(found[grade].get("accuracy")), found[grade].get("pairs", 0))
        for grade in order
        if grade in found
    ]
