"""One turn of the loop: where it stands, the next thing to do, and the runs at work for it."""

from __future__ import annotations

from datetime import timedelta
from functools import cached_property
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern
from django.utils.safestring import SafeString
from unfold.decorators import display

from annotation.admin.base import RoleAdmin, Step, act, person
from annotation.admin.batches import SealView
from annotation.core.states import BatchState
from annotation.errors import DomainError
from annotation.models import Batch, Role
from annotation.templatetags.panel import dot, moment
from training import overview
from training.admin.composing import BeginView, ForkView
from training.admin.starting import no_worker
from training.core.states import RUN_ACTIVE, IterationState, RunState, StepState
from training.models import Iteration, Run
from training.queries import latest_iteration
from training.services.iterations import (
    actual_runs,
    next_action,
    pause_iteration,
    plan_iteration,
    resume_iteration,
    start_next,
    steps_of,
)
from training.services.iterations.planning import total_seconds


class SealIterationView(SealView):
    """Sealing as the iteration's first stage."""

    @cached_property
    def iteration(self) -> Iteration:
        row: Iteration = self.admin.row(self.request, self.kwargs["object_id"])
        return row

    @cached_property
    def batch(self) -> Batch:
        return self.iteration.batch

    def act(self, form: Any) -> str:
        start_next(iteration=self.iteration, by=person(self.request))
        self.say(f"{self.batch} is sealed.")
        return self.back()

    def back(self) -> str:
        return self.admin.address("change", self.kwargs["object_id"])


@admin.register(Iteration)
class IterationAdmin(RoleAdmin):
    add_role = Role.RESEARCHER
    list_display = ("name", "dotted", "batch", "policy", "tuned", "begun")
    list_select_related = ("batch", "policy", "tuned")
    list_filter = ("state",)
    page_template = "admin/training/iteration/page.html"
    add_page = BeginView

    def pages(self) -> list[URLPattern]:
        return [
            self.page("<path:object_id>/next/", self.next_page, "next"),
            self.page("<path:object_id>/seal/", SealIterationView.as_view(admin=self), "seal"),
            self.page("<path:object_id>/live/", self.live_page, "live"),
            self.page("<path:object_id>/plan/", self.plan_page, "plan"),
            self.page("<path:object_id>/pause/", self.pause_page, "pause"),
            self.page("<path:object_id>/resume/", self.resume_page, "resume"),
            self.page("<path:object_id>/fork/", ForkView.as_view(admin=self), "fork"),
        ]

    def page_context(self, request: HttpRequest, obj: Iteration) -> dict[str, Any]:
        context = iteration_context(self, obj)
        rows = steps_of(obj)
        held = actual_runs(obj, rows)
        context["step_rows"] = [(step, held.get(step.pk)) for step in rows]
        context["steps"] += further_steps(self, obj, context)
        return context

    def live_page(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Its runs. Once none works any more the next step has changed: the page is loaded anew."""
        iteration: Iteration = self.row(request, object_id)
        runs = overview.runs_of(iteration)
        response = TemplateResponse(request, "admin/training/runs.html", {"runs": runs})
        if not any(run.state in RUN_ACTIVE for run in runs):
            response["HX-Refresh"] = "true"
        return response

    def next_page(self, request: HttpRequest, object_id: str) -> HttpResponse:
        iteration: Iteration = self.row(request, object_id)
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        try:
            runs = start_next(iteration=iteration, by=person(request), seen=_seen(request))
        except DomainError as error:
            messages.error(request, error.message)
        else:
            messages.success(request, _done(iteration, runs))
        return HttpResponseRedirect(self.address("change", iteration.pk))

    def plan_page(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """What each step would do now, and what it would cost."""
        iteration: Iteration = self.row(request, object_id)
        lines = plan_iteration(iteration)
        known = total_seconds(lines)
        context = iteration_context(self, iteration)
        left = None if known is None else timedelta(seconds=known)
        template = "admin/training/iteration/plan.html"
        shown = [(line, timedelta(seconds=line.seconds or 0)) for line in lines]
        title = f"Plan of {iteration}"
        return self.render(
            request,
            template,
            title=title,
            original=iteration,
            row=iteration,
            lines=shown,
            left=left,
            **context,
        )

    def pause_page(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """`?cancel=yes` stops what is at work too."""
        iteration: Iteration = self.row(request, object_id)
        cancel = request.GET.get("cancel") == "yes"
        return act(
            request,
            lambda: pause_iteration(
                iteration=iteration, cancel=cancel, by=person(request), seen=_seen(request)
            ),
            said=f"{iteration} is paused: nothing new starts.",
            back=self.address("change", iteration.pk),
        )

    def resume_page(self, request: HttpRequest, object_id: str) -> HttpResponse:
        iteration: Iteration = self.row(request, object_id)
        return act(
            request,
            lambda: resume_iteration(iteration=iteration, by=person(request), seen=_seen(request)),
            said=f"{iteration} goes on.",
            back=self.address("change", iteration.pk),
        )

    @display(description="Iteration", ordering="number")
    def name(self, iteration: Iteration) -> str:
        return str(iteration)

    @display(description="State", ordering="state")
    def dotted(self, iteration: Iteration) -> SafeString:
        return dot(iteration.state)

    @display(description="Begun", ordering="created_at")
    def begun(self, iteration: Iteration) -> SafeString | str:
        return moment(iteration.created_at)


def iteration_context(model_admin: RoleAdmin, iteration: Iteration) -> dict[str, Any]:
    """What a page shows of an iteration; the landing page shows the same of the newest."""
    runs = overview.runs_of(iteration)
    return {
        "iteration": iteration,
        "runs": runs,
        "working": [run for run in runs if run.state in RUN_ACTIVE],
        "broken": broken_run(runs),
        "stages": _stages(iteration),
        "steps": next_steps(model_admin, iteration, runs),
        "no_worker": any(run.state == RunState.QUEUED for run in runs) and no_worker(),
    }


def broken_run(runs: list[Run]) -> Run | None:
    """The newest run that ended without success and that a keyed stage waits for."""
    return next((run for run in reversed(runs) if overview.is_waited_for(run)), None)


def next_steps(model_admin: RoleAdmin, iteration: Iteration, runs: list[Run]) -> list[Step]:
    """The next sensible thing to do; nothing while its runs are at work."""
    if iteration.paused_at is not None:
        return [_step(model_admin, iteration, "Resume", "resume", filled=True)]
    if any(run.state in RUN_ACTIVE for run in runs):
        return []
    words = next_action(iteration)
    if not words:
        following = latest_iteration()
        if following is None or following.pk == iteration.pk:
            return []
        return [Step(f"Go to {following}", model_admin.address("change", following.pk), filled=True)]
    if iteration.state == IterationState.COLLECTING and iteration.batch.state == BatchState.OPEN:
        return [Step(f"{words}…", model_admin.address("seal", iteration.pk), filled=True)]
    if broken_run(runs):
        words = f"Try again: {words[0].lower()}{words[1:]}"
    return [_step(model_admin, iteration, words, "next", filled=True)]


def further_steps(model_admin: RoleAdmin, iteration: Iteration, shown: dict[str, Any]) -> list[Step]:
    """What else can be done with it."""
    steps = []
    if iteration.state != IterationState.FED_BACK:
        steps.append(Step("Plan", model_admin.address("plan", iteration.pk)))
        if iteration.paused_at is None:
            steps.append(_step(model_admin, iteration, "Pause", "pause"))
            if shown["working"]:
                steps.append(
                    _step(model_admin, iteration, "Pause and cancel its runs", "pause", cancel="yes")
                )
    if any(step.state == StepState.DONE for step, _ in shown["step_rows"]):
        steps.append(Step("Fork…", model_admin.address("fork", iteration.pk)))
    return steps


def _step(
    model_admin: RoleAdmin, iteration: Iteration, label: str, name: str, *, filled: bool = False, **more: str
) -> Step:
    """A button that says which turn of the iteration it was shown for."""
    query = urlencode({**more, "seen": iteration.turn})
    return Step(label, f"{model_admin.address(name, iteration.pk)}?{query}", post=True, filled=filled)


def _seen(request: HttpRequest) -> int | None:
    given = request.GET.get("seen", "")
    return int(given) if given.isdecimal() and len(given) < 10 else None


# What is done while the iteration is in each state but the last.
STAGES = ("Judgments", "Snapshot", "Reward models", "Selection", "New policy", "Next week")


def _stages(iteration: Iteration) -> list[tuple[str, str]]:
    """Each stage with "done", "now" or "later"."""
    at = list(IterationState).index(IterationState(iteration.state))
    return [(name, "done" if k < at else "now" if k == at else "later") for k, name in enumerate(STAGES)]


def _done(iteration: Iteration, runs: list[Run]) -> str:
    if not runs:
        return f"Done: {iteration} is now {iteration.get_state_display()}."
    names = ", ".join(f"run {run.pk}" for run in runs)
    return f"At work for {iteration}: {names}."
