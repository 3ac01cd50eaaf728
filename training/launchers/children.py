"""Processes that a command starts beside itself and takes down with itself: workers and servers."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from django.conf import settings

PATIENCE = 8.0  # seconds between SIGTERM and SIGKILL


@dataclass
class Child:
    """One process, started again when it dies."""

    name: str
    command: Sequence[str]
    log: Path
    process: subprocess.Popen[bytes] | None = None
    starts: int = 0

    def start(self) -> None:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=settings.BASE_DIR,
                # A session of its own: Ctrl-C reaches the command alone, which stops its children in order.
                start_new_session=True,
            )
        self.starts += 1

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def signal(self, number: int) -> None:
        if self.process is not None and self.alive:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)


class Children:
    """A context that starts them, keeps them alive and stops them all."""

    def __init__(self, *children: Child) -> None:
        self.children = children

    def __enter__(self) -> Self:
        for child in self.children:
            child.start()
        return self

    def revive(self) -> list[str]:
        """Start dead ones again; returns their names."""
        dead = [child for child in self.children if not child.alive]
        for child in dead:
            child.start()
        return [child.name for child in dead]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for child in self.children:
            child.signal(signal.SIGTERM)
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and any(child.alive for child in self.children):
            time.sleep(0.05)
        for child in self.children:
            child.signal(signal.SIGKILL)
            if child.process is not None:
                child.process.wait()


def run_worker(name: str = "gpu-worker", *, queues: Sequence[str] = (), devices: str | None = None) -> Child:
    """A Celery worker that takes runs, one at a time: two would share the same cores or GPU.

    `queues` are those that it takes from, by default all. `devices` are the GPUs that its runs see, as
    CUDA_VISIBLE_DEVICES names them; None: those that this process sees.
    """
    environment = () if devices is None else (f"CUDA_VISIBLE_DEVICES={devices}",)
    wanted = ",".join(queues or settings.RUN_QUEUES)
    return _worker(name, "--queues", wanted, "--concurrency", "1", environment=environment)


def clock_worker() -> Child:
    """A Celery worker that keeps the clock and takes everything but runs."""
    schedule = str(settings.MARGIN_HOME / "beat-schedule")
    return _worker("worker", "--queues", "default", "--concurrency", "2", "--beat", "--schedule", schedule)


def _worker(name: str, *options: str, environment: Sequence[str] = ()) -> Child:
    command = [sys.executable, "-m", "celery", "-A", "config", "worker", "--pool", "threads"]
    command += ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    command += ["--hostname", f"{name}@%h", "--loglevel", "warning", *options]
    log = settings.MARGIN_HOME / "logs" / f"{name}.log"
    # Tied: should this command be killed without a chance to stop it, the worker notices and ends.
    return Child(name, ["env", "WORKER_TIED=yes", *environment, *command], log)
