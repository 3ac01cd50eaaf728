"""The event stream of a run: one JSON object a line, appended by its process, read by whoever follows it.

Knows lines and byte offsets. Must not know what runs or who reads, and must not import torch: web and worker
processes read the stream.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

LONGEST_TEXT: Final = 4000  # characters; a traceback belongs into the log
READ_AT_ONCE: Final = 1 << 20  # bytes


class EventType(StrEnum):
    """What a run's process says about itself."""

    STARTED = "started"  # pid, attempt: a process has the folder's lock and begins, or begins again
    STAGE = "stage"  # name
    PROGRESS = "progress"  # done, total, unit: of the current stage
    METRIC = "metric"  # name, value (null where it is not finite), step
    NOTE = "note"  # text
    FAILED = "failed"  # message: the work said no
    ERRORED = "errored"  # message: our code broke
    CANCELLED = "cancelled"  # somebody asked to stop
    FINISHED = "finished"  # result.json is there


@dataclass(frozen=True, slots=True)
class Event:
    """One line. `type` is a plain string: a newer process may write types that an older reader lacks."""

    at: str  # ISO 8601, UTC
    type: str
    data: dict[str, Any] = field(default_factory=dict)


class EventWriter:
    """Appends events; each is one write, so that a reader sees whole lines save perhaps the last.

    Hold the folder's lock: what a killed process left unfinished at the end is cut off on opening.
    """

    def __init__(self, path: Path) -> None:
        cut_unfinished_line(path)
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)

    def write(self, kind: EventType, **data: Any) -> None:
        """Append one event with the present time. Texts are clipped; numbers that JSON lacks become null."""
        line = {"at": datetime.now(UTC).isoformat(timespec="milliseconds"), "type": kind.value}
        line.update({name: _plain(value) for name, value in data.items()})
        rest = (json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n").encode(errors="replace")
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]

    def close(self) -> None:
        os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def cut_unfinished_line(path: Path) -> None:
    """Drop what stands behind the last line end: a process that was killed while it wrote left half a line.

    Readers have not taken it, hence their offsets stay good.
    """
    if not path.exists():
        return
    with path.open("r+b") as file:
        end = file.seek(0, os.SEEK_END)
        keep = end
        while keep > 0:
            start = max(0, keep - 4096)
            file.seek(start)
            newline = file.read(keep - start).rfind(b"\n")
            if newline >= 0:
                keep = start + newline + 1
                break
            keep = start
        if keep < end:
            file.truncate(keep)


def read_events(path: Path, offset: int = 0) -> tuple[list[Event], int]:
    """The whole lines from byte `offset` on, and the offset to continue from.

    Reads about a megabyte at most: call again while the offset moves. A missing file has no events, an
    unfinished last line waits for its end, and lines that are no events are passed over: the stream informs,
    and a run is not lost because of it.
    """
    try:
        with path.open("rb") as file:
            file.seek(offset)
            chunk = file.read(READ_AT_ONCE)
            if b"\n" not in chunk and len(chunk) == READ_AT_ONCE:
                chunk += file.readline()
    except FileNotFoundError:
        return [], offset
    whole = chunk[: chunk.rfind(b"\n") + 1]
    events = [event for line in whole.splitlines() if (event := _parse(line)) is not None]
    return events, offset + len(whole)


def _parse(line: bytes) -> Event | None:
    try:
        data = json.loads(line)
    except ValueError:
        return None
    if not isinstance(data, dict):
        return None
    at, kind = data.pop("at", None), data.pop("type", None)
    if not isinstance(at, str) or not isinstance(kind, str):
        return None
    return Event(at=at, type=kind, data=data)


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return value if len(value) <= LONGEST_TEXT else value[: LONGEST_TEXT - 1] + "…"
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    return value
