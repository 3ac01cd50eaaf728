"""What a Celery worker does beside its tasks: says that it lives, and gives its runs back when it stops."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterable
from typing import Any

import structlog
from celery.signals import worker_ready, worker_shutting_down
from django.conf import settings
from django.db import Error as DatabaseError
from django.db import close_old_connections
from django.utils import timezone

from training.core.queue_names import runs_among
from training.launchers import local
from training.models import WorkerBeat

log = structlog.get_logger(__name__)

BEAT = 2.0  # seconds


@worker_ready.connect
def start_beating(sender: Any, **kwargs: Any) -> None:
    """Only a worker that takes runs counts: pages warn where runs would wait for ever."""
    if queues := runs_among(sender.app.amqp.queues.consume_from):
        name = beat_name(sender.hostname, queues)
        threading.Thread(target=_beat, args=(name,), daemon=True, name="worker-beat").start()


def beat_name(hostname: str, queues: Iterable[str]) -> str:
    """How a worker is entered: its name, and the queues whose runs it takes."""
    return " ".join((hostname, *queues))[: WorkerBeat._meta.get_field("name").max_length]


def queues_of(name: str) -> tuple[str, ...]:
    """The queues in what `beat_name` returned."""
    return tuple(name.split(" ")[1:])


def _beat(name: str) -> None:
    parent = os.getppid()
    while not local.stopping.is_set():
        if settings.WORKER_TIED and os.getppid() != parent:
            # Whoever started this worker is gone, by kill -9 perhaps: an orphan must not work on.
            os.kill(os.getpid(), signal.SIGTERM)
            return
        try:
            close_old_connections()
            WorkerBeat.objects.update_or_create(name=name, defaults={"seen_at": timezone.now()})
        except DatabaseError:
            log.warning("worker beat not stored", exc_info=True)
        local.stopping.wait(BEAT)


@worker_shutting_down.connect
def give_runs_back(**kwargs: Any) -> None:
    local.stopping.set()
