"""A run that takes the place of another one in an iteration."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db import transaction

from annotation.errors import ConflictError, IllegalMoveError
from training.core.states import RUN_ENDED, RunState
from training.models import Run


@transaction.atomic
def start_instead(*, old: Run, start: Callable[[], Run]) -> Run:
    """Let a new run take the place of `old` in its iteration: the way on where other parameters are needed.

    `old` ended without success, so a retry would meet the same end. What the stage reads stays the same.
    """
    run = start()
    if _given(run) != _given(old):
        raise ConflictError(f"In the place of run {old.pk} only name, seed and parameters may differ.")
    freed = Run.objects.filter(
        pk=old.pk, key=old.key, state__in=RUN_ENDED - {RunState.SUCCEEDED}, key__isnull=False
    ).update(key=None)
    if not freed:
        raise IllegalMoveError(f"Run {old.pk} no longer waits to be replaced.")
    Run.objects.filter(pk=run.pk).update(key=old.key, iteration=old.iteration)
    run.refresh_from_db()
    return run


def _given(run: Run) -> dict[str, Any]:
    """What makes a run fit its place in an iteration; the rest are parameters, or what is current at the time."""
    free = ("name", "prompts", "current", "rounds")
    given = {name: value for name, value in run.inputs.items() if name not in free}
    if "selections" in given:
        given["selections"] = given["selections"][-1]
    return {**given, "kind": run.kind, "focus": run.params.get("focus")}
