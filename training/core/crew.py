"""Processes that share a run's work with the one that leads it.

Knows how they are started, looked after and ended, and which device each gets. Must not know what they compute.

The leading process holds the run's folder (its lock), speaks and merges; it computes too, as worker 0. The others are
started by it and tied to it by a pipe, or join from elsewhere (training.core.shard_worker). One that dies is started
again a few times; meanwhile and after that the others do its share.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from rewardmodel.core.report import Reporter, RunCancelledError
from training.core.job import LOCK

LOOK_SECONDS: Final = 0.2
RESTARTS: Final = 3  # of one worker
GRACE: Final = 5.0  # seconds between SIGTERM and SIGKILL

Command = Callable[[int], Sequence[str]]


class Crew:
    """A context in which workers 1 ... count-1 live; they end with it."""

    def __init__(self, count: int, command: Command, report: Reporter) -> None:
        self._command = command
        self._report = report
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self._starts = dict.fromkeys(range(1, count), 0)
        self._looked = float("-inf")

    def __enter__(self) -> Self:
        for index in self._starts:
            self._start(index)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._processes.values():
            with suppress(ProcessLookupError):
                process.terminate()
        deadline = time.monotonic() + GRACE
        for process in self._processes.values():
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdin is not None:
                process.stdin.close()

    def look(self) -> None:
        """Start again who has died. Cheap: call it often."""
        if time.monotonic() - self._looked < LOOK_SECONDS:
            return
        self._looked = time.monotonic()
        for index, process in list(self._processes.items()):
            code = process.poll()
            if code is None:
                continue
            del self._processes[index]
            if code != 0:
                self._replace(index, code)

    def _replace(self, index: int, code: int) -> None:
        if self._starts[index] <= RESTARTS:
            self._report.note(f"Worker {index} ended with code {code} and is started again.")
            self._start(index)
        else:
            self._report.note(
                f"Worker {index} ended with code {code} once too often: the others do its share."
            )

    def _start(self, index: int) -> None:
        self._starts[index] += 1
        # Nobody writes into the pipe: its end tells the worker that this process is gone. A session of its own keeps
        # Ctrl-C for this process, which then ends the others in order.
        self._processes[index] = subprocess.Popen(
            list(self._command(index)), stdin=subprocess.PIPE, start_new_session=True
        )


class Leading:
    """The leading process's reporter: says everything on, and looks after the crew at each check."""

    def __init__(self, report: Reporter, crew: Crew) -> None:
        self._report = report
        self._crew = crew

    def progress(self, done: int, total: int, unit: str) -> None:
        self._report.progress(done, total, unit)

    def stage(self, name: str) -> None:
        self._report.stage(name)

    def metric(self, name: str, value: float, step: int) -> None:
        self._report.metric(name, value, step)

    def note(self, text: str) -> None:
        self._report.note(text)

    def check(self) -> None:
        self._report.check()
        self._crew.look()


class Following:
    """A worker's reporter: says nothing, and stops when it is asked to or when nobody leads any more."""

    def __init__(self, report: Reporter, out: Path) -> None:
        self._report = report
        self._out = out
        self._looked = float("-inf")

    def progress(self, done: int, total: int, unit: str) -> None: ...

    def stage(self, name: str) -> None: ...

    def metric(self, name: str, value: float, step: int) -> None: ...

    def note(self, text: str) -> None: ...

    def check(self) -> None:
        """As Reporter's.

        Raises:
            RunCancelledError: stop. What is written stands.
        """
        self._report.check()
        if time.monotonic() - self._looked >= LOOK_SECONDS:
            if not is_led(self._out):
                raise RunCancelledError
            self._looked = time.monotonic()


def is_led(out: Path) -> bool:
    """Whether some process, on whatever machine, works at the run in this folder: it holds the folder's lock.

    The lock is asked for as one of many who share it, and let go of at once: a leader that comes just then waits for
    a moment.
    """
    try:
        descriptor = os.open(out / LOCK, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
