"""Reward model versions: what was trained on what, how well it judges, which is current, and where people say the
opposite."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, cast

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, reverse
from django.utils.safestring import SafeString
from unfold.decorators import display

from annotation.admin.base import RoleAdmin, Step, act, person
from annotation.admin.data import excerpt
from annotation.core.grades import Focus, Grade
from annotation.errors import NotFoundError
from annotation.models import Batch, Role, User
from annotation.templatetags.panel import moment, words
from rewardmodel import queries
from rewardmodel.core.promotion import LEAST
from rewardmodel.models import PairScore, RewardModelVersion, RewardModelVersionQuerySet
from rewardmodel.promoting import OverrideView, badge, comparison_rows, promotion_rows
from rewardmodel.reports import PLOTS, TEXTS, plots_of, read_report_file
from rewardmodel.services import promote_reward_model, roll_back_promotion
from rewardmodel.standing import Standing, promotions_of, standing_of

PROBABILITIES: Final = (50, 20, 10, 5, 1)  # percent: below which of them the people's choice is worth a look
USUAL: Final = 20
JUDGMENTS: Final = {1: "one or more", 2: "two or more", 3: "three or more"}


@admin.register(RewardModelVersion)
class RewardModelAdmin(RoleAdmin):
    list_display = (
        "name",
        "badge",
        "focus",
        "recipe",
        "accuracy",
        "pairs",
        "snapshot",
        "backbone",
        "trained",
    )
    list_filter = ("focus", "recipe")
    search_fields = ("name", "sha256", "run")
    list_select_related = ("snapshot",)
    page_template = "admin/rewardmodel/page.html"

    def get_queryset(self, request: HttpRequest) -> RewardModelVersionQuerySet:
        rows = cast("RewardModelVersionQuerySet", super().get_queryset(request))
        return rows.with_current()

    def pages(self) -> list[URLPattern]:
        return [
            self.page("<path:object_id>/promote/", self.promote_page, "promote"),
            self.page("<path:object_id>/override/", OverrideView.as_view(admin=self), "override"),
            self.page("<path:object_id>/roll-back/", self.roll_back_page, "roll_back"),
            self.page("<path:object_id>/report/<str:name>", self.report_file, "report"),
        ]

    def page_context(self, request: HttpRequest, obj: RewardModelVersion) -> dict[str, Any]:
        standing, history = standing_of(obj), promotions_of(obj.focus)
        return {
            "grades": _by_grade(obj.metrics),
            "standing": standing,
            "least": LEAST,
            "compared": comparison_rows(standing),
            "steps": self.steps(standing),
            "history": promotion_rows(history),
            "plots": [(self.address("report", obj.pk, name), PLOTS[name]) for name in plots_of(obj)],
            "texts": [(self.address("report", obj.pk, name), name) for name in TEXTS],
        }

    def report_file(self, request: HttpRequest, object_id: str, name: str) -> HttpResponse:
        version: RewardModelVersion = self.row(request, object_id)
        try:
            file = read_report_file(version, name)
        except NotFoundError as error:
            raise Http404(error.message) from None
        answer = HttpResponse(file.content, content_type=file.content_type)
        if name in TEXTS:
            answer["Content-Disposition"] = f'attachment; filename="{version.name}-{file.name}"'
        return answer

    def steps(self, standing: Standing) -> list[Step]:
        """What can be done about its standing, the next sensible thing first."""
        version = standing.version
        if standing.is_current:
            if standing.can_roll_back:
                return [Step("Roll back", self.address("roll_back", version.pk), post=True)]
            return []
        promote = Step("Promote", self.address("promote", version.pk), post=True, filled=True)
        anyway = Step("Promote anyway…", self.address("override", version.pk))
        return [promote] if standing.passes else [anyway]

    def promote_page(self, request: HttpRequest, object_id: str) -> HttpResponse:
        version: RewardModelVersion = self.row(request, object_id)
        return act(
            request,
            lambda: promote_reward_model(version=version, by=person(request)),
            said=f"{version} is the current {version.focus} model.",
            back=self.address("change", version.pk),
        )

    def roll_back_page(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Its page names what is to step back, so that a second click on an old page takes nothing more back."""
        version: RewardModelVersion = self.row(request, object_id)
        now: list[RewardModelVersion] = []
        return act(
            request,
            lambda: now.append(roll_back_promotion(version=version, by=person(request)).version),
            said=lambda: f"{now[0]} is the current {version.focus} model again.",
            back=self.address("change", version.pk),
        )

    @display(description="Standing")
    def badge(self, version: RewardModelVersion) -> SafeString | str:
        return badge("current") if getattr(version, "current", False) else "—"

    @display(description="Accuracy, %")
    def accuracy(self, version: RewardModelVersion) -> str:
        return percent(version.metrics.get("accuracy"))

    @display(description="Pairs")
    def pairs(self, version: RewardModelVersion) -> str:
        return f"{version.metrics.get('pairs', 0):,}"

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
    chosen = [model for model in models if model.pk == asked.model] or queries.first_of_each_focus(models)
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
