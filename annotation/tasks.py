"""Celery's doors to what the clock does. Nothing in, nothing out."""

from __future__ import annotations

from celery import shared_task

from annotation.services.batches import tend_batches
from annotation.services.leases import release_expired
from annotation.services.qualification import close_overdue_attempts


@shared_task(name="annotation.tasks.tend_weeks")
def tend_weeks() -> None:
    """Open and seal what is due, offer expired leases to others and end tests whose time is over. Running twice at
    once is harmless."""
    tend_batches()
    release_expired()
    close_overdue_attempts()
