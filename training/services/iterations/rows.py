"""The rows of an iteration: its steps, their runs, and the lock under which they change."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import transaction
from django.db.models import F

from annotation.errors import ConflictError
from training.models import Iteration, Run
from training.models.policies import IterationStep


def steps_of(iteration: Iteration) -> list[IterationStep]:
    """In their order, each with its run."""
    return list(iteration.steps.select_related("run").order_by("position"))


def key_of(iteration: Iteration, step: IterationStep) -> str:
    """The key of the step's own run: whoever starts it a second time gets the first."""
    return f"{iteration}/{step.name}"


def actual_runs(iteration: Iteration, steps: Iterable[IterationStep]) -> dict[int, Run]:
    """The run of each step by the step's primary key, in one query: what took its place where it was replaced."""
    held = {run.key: run for run in iteration.runs.filter(key__isnull=False)}
    found = {}
    for step in steps:
        run = step.run if step.reused else held.get(key_of(iteration, step)) or step.run
        if run is not None:
            found[step.pk] = run
    return found


def locked(iteration: Iteration) -> Iteration:
    """The row as it is now, which nobody else changes before the transaction ends."""
    if not transaction.get_connection().in_atomic_block:
        raise RuntimeError("An iteration is locked inside a transaction.")
    return Iteration.objects.select_for_update().get(pk=iteration.pk)


def turn_over(iteration: Iteration) -> None:
    """Count a change.

    Raises:
        ConflictError: somebody else changed it since the row was read.
    """
    if not Iteration.objects.filter(pk=iteration.pk, turn=iteration.turn).update(turn=F("turn") + 1):
        raise ConflictError(f"{iteration} was moved on by somebody else meanwhile. Look at it again.")
    iteration.turn += 1


def check_seen(iteration: Iteration, seen: int | None) -> None:
    """Refuse what somebody asks of a page that is older than the last change."""
    if seen is not None and seen != iteration.turn:
        raise ConflictError(
            f"{iteration} has moved on since you looked: somebody else was first. Look at it again."
        )
