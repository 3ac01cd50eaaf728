"""Runs: what each does now, what it was given and made, and the few things one can do with it."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.decorators import display

from annotation.admin.base import RoleAdmin, Step, act, person
from annotation.templatetags.panel import dot, moment, words
from training import overview
from training.admin.starting import StartView, choose_kind, no_worker
from training.core.states import RUN_ACTIVE, RUN_ENDED, RunState
from training.forms import FORMS
from training.models import Run
from training.services.runs import cancel_run, retry_run
from training.templatetags.loop import beside, span

STOP_POLLING = 286  # htmx swaps the answer in and asks no more


@admin.register(Run)
class RunAdmin(RoleAdmin):
    list_display = ("number", "doing", "dotted", "makes", "turn", "starter", "began", "lasted")
    list_filter = ("state", "kind", "iteration")
    search_fields = ("uid", "key", "message")
    list_select_related = ("iteration", "created_by")
    list_display_links = ("number", "doing")
    page_template = "admin/training/run/page.html"
    change_list_template = "admin/training/run/list.html"

    def pages(self) -> list[URLPattern]:
        return [
            self.page("recent/", self.recent_page, "recent"),
            self.page("start/", self.choose_page, "start"),
            self.page("start/<slug:kind>/", StartView.as_view(admin=self), "start_kind"),
            self.page("<path:object_id>/live/", self.live_page, "live"),
            self.page("<path:object_id>/log/", self.log_page, "log"),
            self.page("<path:object_id>/cancel/", self.cancel_page, "cancel"),
            self.page("<path:object_id>/retry/", self.retry_page, "retry"),
        ]

    def choose_page(self, request: HttpRequest) -> HttpResponse:
        return choose_kind(self, request)

    def recent_page(self, request: HttpRequest) -> HttpResponse:
        """The newest runs for the landing page, which is loaded anew once none works any more."""
        response = TemplateResponse(request, "admin/training/runs.html", {"runs": overview.recent_runs()})
        if not overview.runs_at_work().exists():
            response["HX-Refresh"] = "true"
        return response

    def page_context(self, request: HttpRequest, obj: Run) -> dict[str, Any]:
        return {
            **self._live(obj),
            "params": overview.params_of(obj),
            "inputs": overview.inputs_of(obj),
            "log": overview.log_tail(obj),
        }

    def _live(self, run: Run) -> dict[str, Any]:
        return {
            "active": run.state in RUN_ACTIVE,
            "left": overview.time_left(run),
            "took": overview.took(run),
            "grace": int(settings.RUN_GRACE),
            "no_worker": run.state == RunState.QUEUED and no_worker(),
            "metrics": overview.metrics_of(run),
            "events": overview.events_of(run),
            "result": overview.result_of(run),
            "steps": self.steps(run),
        }

    def live_page(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """What changes while a run works; asked for every two seconds until it has ended."""
        run: Run = self.row(request, object_id)
        status = STOP_POLLING if run.state in RUN_ENDED else 200
        context = {"row": run, **self._live(run)}
        return TemplateResponse(request, "admin/training/run/answer.html", context, status=status)

    def log_page(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The end of its log as plain text; a page that shows it escapes it once more on the way in."""
        run: Run = self.row(request, object_id)
        status = STOP_POLLING if run.state in RUN_ENDED else 200
        context = {"log": overview.log_tail(run)}
        return TemplateResponse(request, "admin/training/run/log.html", context, status=status)

    def cancel_page(self, request: HttpRequest, object_id: str) -> HttpResponse:
        run: Run = self.row(request, object_id)
        return act(
            request,
            lambda: cancel_run(run=run, by=person(request)),
            said=lambda: f"{run} is cancelled." if run.state in RUN_ENDED else f"{run} was asked to stop.",
            back=self.address("change", run.pk),
        )

    def retry_page(self, request: HttpRequest, object_id: str) -> HttpResponse:
        run: Run = self.row(request, object_id)
        return act(
            request,
            lambda: retry_run(run=run, by=person(request)),
            said=f"{run} is queued again. It goes on from its last checkpoint.",
            back=self.address("change", run.pk),
        )

    def steps(self, run: Run) -> list[Step]:
        """What can be done with the run, the next sensible thing first."""
        steps = []
        if run.state in (RunState.QUEUED, RunState.RUNNING):
            steps.append(Step("Cancel", self.address("cancel", run.pk), post=True))
        elif run.state in RUN_ENDED and run.state != RunState.SUCCEEDED:
            steps.append(Step("Retry", self.address("retry", run.pk), post=True, filled=True))
        elif run.state == RunState.SUCCEEDED and run.iteration is not None:
            place = reverse("admin:training_iteration_change", args=(run.iteration.pk,))
            steps.append(Step(f"Go on with {run.iteration}", place, filled=True))
        if run.kind in FORMS:
            another = f"{self.address('start_kind', run.kind)}?from={run.pk}"
            steps.append(Step("Start another like this", another))
        return steps

    @display(description="Run", ordering="pk")
    def number(self, run: Run) -> int:
        return run.pk

    @display(description="Kind", ordering="kind")
    def doing(self, run: Run) -> str:
        return words(run.kind)

    @display(description="State", ordering="state")
    def dotted(self, run: Run) -> SafeString:
        return dot(run.state, beside(run))

    @display(description="Makes")
    def makes(self, run: Run) -> str:
        return str(run.inputs.get("name", "—"))

    @display(description="Iteration", ordering="iteration__number")
    def turn(self, run: Run) -> SafeString | str:
        if run.iteration is None:
            return "—"
        place = reverse("admin:training_iteration_change", args=(run.iteration.pk,))
        return format_html('<a href="{}">{}</a>', place, run.iteration)

    @display(description="By", ordering="created_by__username")
    def starter(self, run: Run) -> str:
        return run.created_by.username if run.created_by else "—"

    @display(description="Queued", ordering="created_at")
    def began(self, run: Run) -> SafeString | str:
        return moment(run.created_at)

    @display(description="Took")
    def lasted(self, run: Run) -> str:
        return span(overview.took(run))
