"""The tests: researchers build the steps of each focus and see how they do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, reverse
from django.utils.safestring import SafeString
from unfold.decorators import display

from annotation.admin.base import RoleAdmin, Step, act, person
from annotation.admin.step_forms import ChangeStepView, NewStepView, QuestionView, question_of
from annotation.models import QualificationStep, Role
from annotation.qualifying import figures_of, with_step_counts
from annotation.services.steps import (
    activate_step,
    copy_step,
    deactivate_step,
    delete_question,
    delete_step,
    move_question,
    move_step,
)
from annotation.templatetags.panel import dot
from annotation.templatetags.qualifying import percent


@admin.register(QualificationStep)
class QualificationStepAdmin(RoleAdmin):
    add_role = Role.RESEARCHER
    add_page = NewStepView
    page_template = "admin/annotation/qualificationstep/page.html"
    list_display = ("title", "focus", "place", "kind", "dotted", "questions_n", "tries_n", "rate")
    list_filter = ("focus", "active", "kind")
    search_fields = ("title",)
    ordering = ("focus", "position", "-active", "-pk")

    def get_queryset(self, request: HttpRequest) -> QuerySet[QualificationStep]:
        return with_step_counts(super().get_queryset(request))

    def pages(self) -> list[URLPattern]:
        one = "<path:object_id>"
        actions: dict[str, tuple[Callable[..., Any], str]] = {
            "activate": (activate_step, "{} is in force."),
            "deactivate": (deactivate_step, "{} is out of force."),
            "up": (lambda step, by: move_step(step=step, up=True, by=by), "{} moved up."),
            "down": (lambda step, by: move_step(step=step, up=False, by=by), "{} moved down."),
            "delete_untried": (delete_step, "{} is gone."),
        }
        return [
            # The longer addresses first: the key of a step matches any path.
            self.page(f"{one}/questions/add/", QuestionView.as_view(admin=self), "add_question"),
            self.page(f"{one}/questions/<int:question>/", QuestionView.as_view(admin=self), "question"),
            self.page(f"{one}/questions/<int:question>/<str:what>/", self.question_page, "do_question"),
            self.page(f"{one}/edit/", ChangeStepView.as_view(admin=self), "edit"),
            self.page(f"{one}/copy/", self.copy_page, "copy"),
            *(
                self.page(f"{one}/{name}/", self._page_for(name, *told), name)
                for name, told in actions.items()
            ),
        ]

    def _page_for(self, name: str, do: Callable[..., Any], said: str) -> Callable[..., HttpResponse]:
        """A button of the step's page."""

        def view(request: HttpRequest, object_id: str) -> HttpResponse:
            row: QualificationStep = self.row(request, object_id)
            gone = name == "delete_untried"
            back = self.address("changelist") if gone else self.address("change", row.pk)
            return act(request, lambda: do(step=row, by=person(request)), said=said.format(row), back=back)

        return view

    def copy_page(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row: QualificationStep = self.row(request, object_id)
        made: list[QualificationStep] = []
        answer = act(
            request,
            lambda: made.append(copy_step(step=row, by=person(request))),
            said="A new version, not in force yet. Putting it in force replaces the other.",
            back=self.address("change", row.pk),
        )
        if made:
            answer["Location"] = self.address("change", made[0].pk)
        return answer

    def question_page(self, request: HttpRequest, object_id: str, question: int, what: str) -> HttpResponse:
        step: QualificationStep = self.row(request, object_id)
        row, by = question_of(step, question), person(request)
        back = self.address("change", step.pk)
        if what in {"up", "down"}:
            up = what == "up"
            return act(
                request,
                lambda: move_question(question=row, up=up, by=by),
                said="The question moved.",
                back=back,
            )
        if what == "delete":
            return act(
                request, lambda: delete_question(question=row, by=by), said="The question is gone.", back=back
            )
        raise Http404

    def page_context(self, request: HttpRequest, obj: Any) -> dict[str, Any]:
        figures = figures_of(obj)
        return {
            "figures": figures,
            "is_tried": bool(figures.people),
            "steps": self.steps(obj, is_tried=bool(figures.people)),
            "moves": (("up", "Up"), ("down", "Down"), ("delete", "Delete")),
            "add_address": self.address("add_question", obj.pk),
        }

    def steps(self, row: Any, *, is_tried: bool) -> list[Step]:
        """What can be done with the step; filled is what comes next: questions, then putting it in force."""
        add = Step("Add a question…", self.address("add_question", row.pk), filled=not row.questions_n)
        force = (
            Step("Take out of force", self.address("deactivate", row.pk), post=True)
            if row.active
            else Step(
                "Put in force",
                self.address("activate", row.pk),
                post=True,
                filled=bool(row.questions_n),
            )
        )
        steps = [*([] if is_tried else [add]), force]
        if row.questions_n:
            steps.append(Step("Preview", reverse("frontend:qualify-preview", args=(row.pk,))))
        steps.append(Step("Change…", self.address("edit", row.pk)))
        steps.append(Step("New version", self.address("copy", row.pk), post=True))
        if row.active:
            steps.append(Step("Move up", self.address("up", row.pk), post=True))
            steps.append(Step("Move down", self.address("down", row.pk), post=True))
        elif not is_tried:
            steps.append(Step("Delete", self.address("delete_untried", row.pk), post=True))
        return steps

    @display(description="Place", ordering="position")
    def place(self, row: QualificationStep) -> int:
        return row.position

    @display(description="State", ordering="active")
    def dotted(self, row: QualificationStep) -> SafeString:
        return dot("in force" if row.active else "not in force")

    @display(description="Questions")
    def questions_n(self, row: Any) -> int:
        return int(row.questions_n)

    @display(description="Tries")
    def tries_n(self, row: Any) -> int:
        return int(row.tries_n)

    @display(description="Passed, %")
    def rate(self, row: Any) -> str:
        return percent(row.passed_n / row.tries_n if row.tries_n else None)
