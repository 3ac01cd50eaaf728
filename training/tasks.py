"""Celery's doors. Ids in, nothing out."""

from __future__ import annotations

from celery import shared_task

from training.launchers import local
from training.services import runs


@shared_task(name="training.tasks.execute_run")
def execute_run(pk: int) -> None:
    """Claim a run and see it through. A second message for the same run finds nothing to claim.

    A worker that shuts down claims nothing more: the sweeper announces the run to another.
    """
    if local.stopping.is_set():
        return
    run = runs.claim_run(pk=pk)
    if run is not None:
        local.launch(run)


@shared_task(name="training.tasks.sweep_runs")
def sweep_runs() -> None:
    runs.sweep_runs()
