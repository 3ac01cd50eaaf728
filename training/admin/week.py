"""The admin's first page: where the loop stands this week, and the next thing to do."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse

from annotation.admin.base import Step
from annotation.overview import counts_by_focus
from annotation.queries import open_batch
from training import overview
from training.admin.iterations import iteration_context
from training.admin.starting import no_worker
from training.core.spec import RunKind
from training.models import Iteration
from training.queries import latest_iteration, newest_policy


def this_week(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Called by unfold with the context of the index page."""
    batch = open_batch()
    iteration = latest_iteration()
    context.update(
        batch=batch,
        counts=counts_by_focus(batch) if batch else [],
        recent=overview.recent_runs(),
        busy=overview.runs_at_work().exists(),
        title="This week",
    )
    if iteration is None:
        context.update(steps=[first_step()], no_worker=overview.runs_at_work().exists() and no_worker())
        return context
    model_admin: Any = admin.site.get_model_admin(Iteration)
    context.update(iteration_context(model_admin, iteration))
    return context


def first_step() -> Step:
    """What a new house needs first: a policy, a week, a turn of the loop."""
    if newest_policy() is None:
        place = reverse("admin:training_run_start_kind", args=(RunKind.IMPORT_POLICY,))
        return Step("Import a policy", place, filled=True)
    if not overview.batches_without_iteration().exists():
        return Step("Plan a batch", reverse("admin:annotation_batch_add"), filled=True)
    return Step("Begin V1", reverse("admin:training_iteration_add"), filled=True)
