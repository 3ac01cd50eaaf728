"""The one place that speaks to the broker. What it sends is a hint: losing it loses nothing."""

from __future__ import annotations

import structlog
from celery import current_app

log = structlog.get_logger(__name__)


def announce(pk: int) -> None:
    """Tell workers that a run waits. A broker that cannot be reached is logged; the sweeper announces again."""
    try:
        current_app.send_task("training.tasks.execute_run", args=[pk], retry=False)
    except Exception:
        log.warning("run not announced", run=pk, exc_info=True)
