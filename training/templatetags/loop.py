"""Marks of the loop's pages: durations, and how far a run is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from django import template

from training.core.states import RunState
from training.models import Run

register = template.Library()


@register.filter
def span(duration: timedelta | None) -> str:
    """A duration in its two largest units: 42 s, 3 min 5 s, 2 h 10 min, 3 d 4 h."""
    if duration is None:
        return "—"
    seconds = round(duration.total_seconds())
    for size, unit, smaller, name in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if seconds >= size:
            rest = seconds % size // smaller
            return f"{seconds // size} {unit}" + (f" {rest} {name}" if rest else "")
    return f"{seconds} s"


@register.filter
def beside(run: Run) -> str:
    """What stands beside the word of its state."""
    if run.state == RunState.RUNNING and run.percent is not None:
        return f"{min(run.percent, 100)} %"
    return ""


@register.filter
def working_sentence(runs: Sequence[Run]) -> str:
    """What is at work, in a sentence."""
    parts = []
    for run in runs:
        doing = f"{run.kind.replace('_', ' ')} {run.inputs.get('name', '')}".strip()
        parts.append(
            f"{doing} {beside(run)}".strip() if run.state == RunState.RUNNING else f"{doing} ({run.state})"
        )
    return f"At work: {', '.join(parts)}."


@register.filter
def said(data: Mapping[str, Any]) -> str:
    """An event's data as a line. A text alone stands without its name; who did it stands in the row."""
    spoken = {name: value for name, value in data.items() if value not in ("", None) and name != "by"}
    texts = [str(value) for value in spoken.values() if isinstance(value, str)]
    if len(texts) == len(spoken):
        return ": ".join(texts)
    return ", ".join(f"{name} {value}" for name, value in spoken.items())
