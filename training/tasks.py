"""Celery's doors. Ids in, nothing out."""

from __future__ import annotations

from celery import shared_task

from training.launchers.local import launch
from training.services import runs


@shared_task(name="training.tasks.execute_run")  # type: ignore[untyped-decorator]
def execute_run(pk: int) -> None:
    """Claim a run and see it through. A second message for the same run finds nothing to claim."""
    run = runs.claim_run(pk=pk)
    if run is not None:
        launch(run)


@shared_task(name="training.tasks.sweep_runs")  # type: ignore[untyped-decorator]
def sweep_runs() -> None:
    runs.sweep_runs()
