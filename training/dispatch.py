"""The one place that speaks to the broker. What it sends is a hint: losing it loses nothing."""

from __future__ import annotations

import structlog
from celery import current_app
from django.conf import settings

from training.core.queue_names import GPU
from training.models import Run
from training.services.estimates import queue_for

log = structlog.get_logger(__name__)


def announce(pk: int) -> None:
    """Tell the workers of its queue that a run waits. A broker that cannot be reached is logged; the sweeper announces
    again."""
    try:
        # The sweeper announces again what still waits, so a stale hint may go.
        name = "training.tasks.execute_run"
        expires = 2 * settings.RUN_SILENCE
        current_app.send_task(name, args=[pk], queue=_queue(pk), retry=False, expires=expires)
    except Exception:
        log.warning("run not announced", run=pk, exc_info=True)


def _queue(pk: int) -> str:
    """Where it belongs; what cannot be sized up, as when its folders are away, goes where most belong."""
    try:
        run = Run.objects.filter(pk=pk).first()
        return GPU if run is None else queue_for(run)
    except Exception:
        log.warning("queue not found out", run=pk, exc_info=True)
        return GPU
