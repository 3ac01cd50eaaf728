"""Celery's doors to what the clock does. Nothing in, nothing out."""

from __future__ import annotations

from celery import shared_task

from annotation.services.batches import tend_batches
from annotation.services.deliveries import prune_deliveries, send_due
from annotation.services.idempotency import prune_requests as forget_old_requests
from annotation.services.leases import release_expired
from annotation.services.qualification import close_overdue_attempts
from annotation.services.snapshots import sweep_snapshots as sweep
from annotation.services.snapshots import tend_snapshot
from annotation.services.uploads import prune_uploads


@shared_task(name="annotation.tasks.tend_weeks")
def tend_weeks() -> None:
    """Open and seal what is due, offer expired leases to others and end tests whose time is over. Running twice at
    once is harmless."""
    tend_batches()
    release_expired()
    close_overdue_attempts()


@shared_task(name="annotation.tasks.send_webhooks")
def send_webhooks() -> None:
    """Send what webhooks are to be told and is due. Running twice at once is harmless."""
    send_due()


@shared_task(name="annotation.tasks.prune_webhooks")
def prune_webhooks() -> None:
    prune_deliveries()


@shared_task(name="annotation.tasks.prune_requests")
def prune_requests() -> None:
    """Forget requests that named themselves and can no longer be sent again."""
    forget_old_requests()


@shared_task(name="annotation.tasks.write_snapshot")
def write_snapshot(pk: int) -> None:
    """Write a snapshot that waits, and the formats that were asked for. A second message finds nothing to do."""
    tend_snapshot(pk=pk)


@shared_task(name="annotation.tasks.sweep_snapshots")
def sweep_snapshots() -> None:
    """Give back what dead processes were writing, and announce again what waits."""
    sweep()


@shared_task(name="annotation.tasks.prune_imports")
def prune_imports() -> None:
    """Remove files that were brought for an import more than a day ago."""
    prune_uploads()
