"""The curves of a run as TensorBoard events, beside the run's own.

Knows torch's summary writer. Must not know what is measured. Where TensorBoard is not installed nothing is written,
and nothing is missed: the run's own events hold the same points.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rewardmodel.core.report import Reporter


class ChartedReporter:
    """Passes everything on, and writes each point of a curve into the events too."""

    def __init__(self, report: Reporter, writer: Any | None) -> None:
        self._report = report
        self._writer = writer

    def progress(self, done: int, total: int, unit: str) -> None:
        self._report.progress(done, total, unit)

    def stage(self, name: str) -> None:
        self._report.stage(name)

    def metric(self, name: str, value: float, step: int) -> None:
        self._report.metric(name, value, step)
        if self._writer is not None:
            self._writer.add_scalar(name, value, step)

    def note(self, text: str) -> None:
        self._report.note(text)

    def check(self) -> None:
        self._report.check()

    def flush(self) -> None:
        """Put the points on disk. Call before a checkpoint: what comes after it is drawn again."""
        if self._writer is not None:
            self._writer.flush()


@contextmanager
def charted(
    report: Reporter, folder: Path, *, after: int = 0, write: bool = True
) -> Iterator[ChartedReporter]:
    """A reporter whose curves also lie in `folder`, for `tensorboard --logdir`.

    The curves go on after step `after`. What a killed attempt drew beyond it is marked as void, by TensorBoard's own
    rule for restarts, so that no point is seen twice. Without `write`, nothing is drawn.
    """
    writer = _writer(folder, after) if write else None
    try:
        yield ChartedReporter(report, writer)
    finally:
        if writer is not None:
            writer.close()


def _writer(folder: Path, after: int) -> Any | None:
    try:
        from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 - an optional package
    except ImportError:
        return None
    _wait_for_a_later_name(folder)
    untyped: Any = SummaryWriter
    return untyped(str(folder), purge_step=after + 1)


def _wait_for_a_later_name(folder: Path) -> None:
    """TensorBoard reads files in the order of their names, and a name tells the time to a second only.

    Within one second the ids of the processes would decide which attempt counts as the last.
    """
    second = int(time.time())
    if any(f".tfevents.{second:010d}." in path.name for path in folder.glob("events.*")):
        time.sleep(max(0.0, second + 1 - time.time()))
