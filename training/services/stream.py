"""What a run's process said, as columns and rows that every database takes.

The stream informs: what a newer or broken process writes is clipped, cleaned or passed over, and never costs
the run. PostgreSQL refuses NUL, lone surrogates and NaN where SQLite stores them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from django.utils import timezone

from training.core.events import Event, EventType
from training.models import Run, RunEvent

LARGEST: Final = 2**31 - 1  # of an integer column


def columns_of(events: Sequence[Event]) -> dict[str, Any]:
    """The columns of a run that stage and progress events set; a new stage begins at nothing."""
    columns: dict[str, Any] = {}
    for event in events:
        if event.type == EventType.PROGRESS:
            columns.update(
                done=_count(event.data.get("done")),
                total=_count(event.data.get("total")),
                unit=_text(event.data.get("unit"), 32),
            )
        elif event.type == EventType.STAGE:
            columns.update(stage=_text(event.data.get("name"), 100), done=0, total=0, unit="")
    return columns


def rows_of(run: Run, events: Sequence[Event]) -> list[RunEvent]:
    """The events that are kept. Progress is not: its last word stands in the run's columns."""
    return [
        RunEvent(run=run, type=_text(event.type, 32), data=_clean(event.data), at=_moment(event.at))
        for event in events
        if event.type != EventType.PROGRESS
    ]


def _count(value: Any) -> int:
    if isinstance(value, int | float) and math.isfinite(value):
        return min(max(int(value), 0), LARGEST)
    return 0


def _text(value: Any, longest: int) -> str:
    text = str(_clean(value)) if value is not None else ""
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\x00", "\ufffd").encode(errors="replace").decode()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {_clean(str(name)): _clean(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_clean(item) for item in value]
    return value


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return timezone.now()
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
