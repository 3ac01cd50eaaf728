"""Holding an iteration: paused, nothing new starts; resumed, it goes on where it was."""

from __future__ import annotations

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from annotation.errors import ConflictError, IllegalMoveError
from annotation.models import User
from annotation.services.audit import record
from training.core.states import RUN_ACTIVE, IterationState, RunState
from training.models import Iteration, Run
from training.services import runs
from training.services.iterations.rows import actual_runs, check_seen, locked, steps_of
from training.services.iterations.starting import go_on


def pause_iteration(
    *, iteration: Iteration, cancel: bool = False, by: User | None = None, seen: int | None = None
) -> list[Run]:
    """Let nothing new start. What is at work ends in its own way or, with `cancel`, is asked to stop; returns it.

    Raises:
        ConflictError: it is paused already or complete, or has moved on since it was seen.
    """
    with transaction.atomic():
        row = locked(iteration)
        check_seen(row, seen)
        if row.state == IterationState.FED_BACK:
            raise ConflictError(f"{row} is complete: there is nothing to pause.")
        if row.paused_at is not None:
            raise ConflictError(f"{row} is paused already.")
        Iteration.objects.filter(pk=row.pk).update(paused_at=timezone.now(), turn=F("turn") + 1)
        record("iteration.paused", row, by=by, cancel=cancel)
    working = own_runs_at_work(iteration)
    if cancel:
        for run in working:
            _cancel(run, by)
    iteration.refresh_from_db()
    return working


def own_runs_at_work(iteration: Iteration) -> list[Run]:
    """Those that it queued itself and that have not ended."""
    return list(iteration.runs.filter(state__in=RUN_ACTIVE, key__isnull=False).order_by("pk"))


def _cancel(run: Run, by: User | None) -> None:
    """Outside the lock: the end of a run waits for that same lock while it holds the run's row."""
    try:
        runs.cancel_run(run=run, by=by)
    except IllegalMoveError:
        return  # it has ended meanwhile, which is as well


def resume_iteration(*, iteration: Iteration, by: User | None = None, seen: int | None = None) -> Iteration:
    """Let it go on: an automatic one at once. Runs that the pause cancelled are queued again.

    Raises:
        ConflictError: it is not paused, or has moved on since it was seen.
    """
    with transaction.atomic():
        row = locked(iteration)
        check_seen(row, seen)
        if row.paused_at is None:
            raise ConflictError(f"{row} is not paused.")
        Iteration.objects.filter(pk=row.pk).update(paused_at=None, turn=F("turn") + 1)
        record("iteration.resumed", row, by=by)
        row.refresh_from_db()
        for run in actual_runs(row, steps_of(row)).values():
            if run.state == RunState.CANCELLED and run.iteration_id == row.pk:
                runs.retry_run(run=run, by=by)
        if row.automatic:
            go_on(row)
    iteration.refresh_from_db()
    return iteration
