"""The one place that speaks to the broker. What it sends is a hint: losing it loses nothing."""

from __future__ import annotations

import structlog
from celery import current_app
from django.conf import settings

log = structlog.get_logger(__name__)


def announce(pk: int) -> None:
    """Tell workers that a run waits. A broker that cannot be reached is logged; the sweeper announces again."""
    try:
        # The sweeper announces again what still waits, so a stale hint may go.
        name = "training.tasks.execute_run"
        current_app.send_task(name, args=[pk], retry=False, expires=2 * settings.RUN_SILENCE)
    except Exception:
        log.warning("run not announced", run=pk, exc_info=True)
