"""What a process says, however odd, is stored in a shape that every database takes."""

from __future__ import annotations

from typing import Any

import pytest

from training.core.events import Event
from training.core.spec import RunKind
from training.core.states import RunState
from training.services import runs

pytestmark = pytest.mark.django_db


def say(kind: str, at: str = "2026-03-01T12:00:00+00:00", **data: Any) -> Event:
    return Event(at=at, type=kind, data=data)


@pytest.mark.parametrize(
    "event",
    [
        say("stage", name="s" * 300),
        say("stage"),
        say("progress"),
        say("progress", done=-1, total=2**40, unit="u" * 99),
        say("progress", done=None, total=float("nan"), unit=None),
        say("weather" * 9, wet=True),
        say("note", text="a\x00b\ud800", more=["\x00", {"x": float("inf")}]),
        say("note", at="yesterday", text="x"),
        say("note", at="2026-03-01T12:00:00", text="no zone"),
    ],
)
def test_what_no_column_can_hold_costs_neither_the_beat_nor_the_run(event: Event) -> None:
    queued = runs.queue_run(kind=RunKind.IMPORT_POLICY, params={"source": "tiny"}, inputs={"name": "V0"})
    run = runs.claim_run(pk=queued.pk)
    assert run is not None
    assert runs.beat_run(run=run, events=[event], events_read=1) == RunState.RUNNING
    assert len(run.stage) <= 100
    assert run.done >= 0
    for row in run.events.all():
        assert len(row.type) <= 32
        assert row.at.tzinfo is not None
        assert "\x00" not in str(row.data)
