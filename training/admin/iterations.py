"""One turn of the loop: where it stands, the next thing to do, and the runs at work for it."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern
from django.utils.safestring import SafeString
from unfold.decorators import display

from annotation.admin.base import RoleAdmin, ServiceView, Step, person
from annotation.admin.batches import SealView
from annotation.core.states import BatchState
from annotation.errors import DomainError
from annotation.models import Batch, Role
from annotation.templatetags.panel import dot, moment
from training import overview
from training.admin.starting import no_worker
from training.core.states import RUN_ACTIVE, IterationState, RunState
from training.forms.fields import NO_POLICY, RowField
from training.models import Iteration, Run
from training.queries import latest_iteration
from training.services.iterations import create_iteration, next_action, start_next


class BeginForm(forms.Form):
    batch = RowField(
        overview.batches_without_iteration(),
        none="There is no batch that no iteration has. Plan one first.",
        help_text="The week that it begins with.",
    )
    policy = RowField(overview.policies(), none=NO_POLICY, help_text="The newest policy; it samples.")
    base = RowField(
        overview.whole_policies(), none=NO_POLICY, help_text="Where fine-tuning starts (section 3.2.3)."
    )
    seed = forms.IntegerField(min_value=0, max_value=2**31 - 1, initial=0)
    params = forms.JSONField(
        required=False,
        initial=dict,
        label="Parameters",
        widget=forms.Textarea(attrs={"rows": 6, "spellcheck": "false"}),
        help_text='By kind of run, where they differ from the defaults: {"sample": {"prompts": 64}}.',
    )

    def clean_params(self) -> dict[str, dict[str, Any]]:
        given = self.cleaned_data["params"] or {}
        if not isinstance(given, dict) or not all(isinstance(value, dict) for value in given.values()):
            raise forms.ValidationError("Give an object of objects, one a kind of run.")
        return given


class BeginView(ServiceView):
    title = "Begin an iteration"
    lead = "One turn of the loop: from this week's judgments to the next policy."
    submit = "Begin"
    form_class = BeginForm

    def act(self, form: Any) -> str:
        iteration = create_iteration(**form.cleaned_data, by=person(self.request))
        self.say(f"{iteration} begins with {iteration.batch}.")
        return self.admin.address("change", iteration.pk)


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
        ]

    def page_context(self, request: HttpRequest, obj: Iteration) -> dict[str, Any]:
        return iteration_context(self, obj)

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
            runs = start_next(iteration=iteration, by=person(request))
        except DomainError as error:
            messages.error(request, error.message)
        else:
            messages.success(request, _done(iteration, runs))
        return HttpResponseRedirect(self.address("change", iteration.pk))

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
        "steps": steps_of(model_admin, iteration, runs),
        "no_worker": any(run.state == RunState.QUEUED for run in runs) and no_worker(),
    }


def broken_run(runs: list[Run]) -> Run | None:
    """The newest run that ended without success and that a keyed stage waits for."""
    return next((run for run in reversed(runs) if overview.is_waited_for(run)), None)


def steps_of(model_admin: RoleAdmin, iteration: Iteration, runs: list[Run]) -> list[Step]:
    """The next sensible thing to do; nothing while its runs are at work."""
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
    return [Step(words, model_admin.address("next", iteration.pk), post=True, filled=True)]


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
