"""One run seen from inside its process: its parameters, its folder, and what it reports.

Knows the folder's layout and the event stream. Must not know how the process was started, nor import torch:
the computation does.
"""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any, Final

from annotation.core.records import canonical_json
from rewardmodel.core.files import replace_directory, write_atomically
from rewardmodel.core.report import RunCancelledError
from training.core.events import EventType, EventWriter
from training.core.spec import RunFile

RESULT: Final = "result.json"
EVENTS: Final = "events.jsonl"
SPEC: Final = "spec.json"
LOCK: Final = ".lock"
LOG: Final = "log.txt"

PROGRESS_SECONDS: Final = 0.2  # at most five events a second, however often a loop calls


class Job:
    """Implements `rewardmodel.core.report.Reporter` for a process; handed to the kind's `run(job)`.

    `work` keeps checkpoints and partial files between attempts. `output` is the product: write its files
    whole (`write_atomically`), or build a directory below `work` and `publish` it.
    """

    def __init__(self, file: RunFile, out: Path, events: EventWriter) -> None:
        self.file = file
        self.out = out
        self.work = out / "work"
        self.output = out / "output"
        self.work.mkdir(parents=True, exist_ok=True)
        self._events = events
        self._cancelled = threading.Event()
        self._progressed = float("-inf")
        self._held: dict[str, Any] | None = None

    def progress(self, done: int, total: int, unit: str) -> None:
        """See Reporter. Calls in quick succession are held back; the last of a stage is always told."""
        self._held = {"done": done, "total": total, "unit": unit}
        if time.monotonic() - self._progressed >= PROGRESS_SECONDS:
            self._tell_progress()

    def stage(self, name: str) -> None:
        self._tell_progress()
        self._events.write(EventType.STAGE, name=name)

    def metric(self, name: str, value: float, step: int) -> None:
        self._events.write(EventType.METRIC, name=name, value=float(value), step=step)

    def note(self, text: str) -> None:
        self._events.write(EventType.NOTE, text=text)

    def check(self) -> None:
        if self._cancelled.is_set():
            raise RunCancelledError

    def cancel(self) -> None:
        """Ask the computation to stop at its next check. Safe to call from a signal handler."""
        self._cancelled.set()

    def publish(self, directory: Path) -> None:
        """Move a complete directory, built below `work`, to `output`."""
        replace_directory(directory, self.output)

    def finish(self, result: dict[str, Any]) -> None:
        """Write result.json; from here on the run has succeeded, whatever happens to the process.

        Raises:
            ValueError: if the result holds NaN or infinity, which no JSON reader would take.
        """
        json.dumps(result, allow_nan=False)
        self._tell_progress()
        write_atomically(self.out / RESULT, canonical_json(result) + "\n")
        self._events.write(EventType.FINISHED)

    def _tell_progress(self) -> None:
        if self._held is not None:
            self._events.write(EventType.PROGRESS, **self._held)
            self._held, self._progressed = None, time.monotonic()
