"""Runs: start, watch, cancel, try again; and the iterations that they serve."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from margin_client.errors import RunEndedError
from margin_client.sse import ServerEvent, listen
from margin_client.steps import Series, Steps, endpoint, feed, sleep
from margin_client.types import Iteration, Run, RunEvent
from margin_client.wire import D, Resource, Wire, at, given

ACTIVE: Final = frozenset({"queued", "running", "cancelling"})
PROGRESS: Final = "progress"  # where the run stands: no event of its own, and without a time
END: Final = "end"
LOOK: Final = 1.0  # seconds between two looks at a run that is waited for


class Runs(Resource[D]):
    """Everything that computes with a model."""

    @feed
    def list(
        self,
        *,
        kind: str | None = None,
        state: str | None = None,
        iteration: int | None = None,
        since: datetime | None = None,
        fields: Sequence[str] = (),
    ) -> Series[Run]:
        filters = given(kind=kind, state=state, iteration=iteration, since=since)
        return self.wire.pages("runs", Run.of, {"fields": fields, **filters})

    @endpoint
    def get(self, uid: str, *, fields: Sequence[str] = ()) -> Steps[Run]:
        response = yield from self.wire.ask("GET", at("runs", uid), params={"fields": fields})
        return Run.of(response.json())

    @endpoint
    def start(self, kind: str, /, **settings: Any) -> Steps[Run]:
        """Queue a run: what its kind works on, by name, number or id, and its settings.

        The server says what is missing or unknown, and the schema lists all of it.
        """
        return Run.of((yield from self.wire.ask("POST", "runs", body={"kind": kind, **settings})).json())

    @endpoint
    def cancel(self, uid: str) -> Steps[Run]:
        """Ask it to stop; that it has stopped is another matter."""
        return Run.of((yield from self.wire.ask("POST", at("runs", uid, "cancel"))).json())

    @endpoint
    def retry(self, uid: str) -> Steps[Run]:
        """Queue it again; it goes on from its last checkpoint."""
        return Run.of((yield from self.wire.ask("POST", at("runs", uid, "retry"))).json())

    @feed
    def follow(self, uid: str, *, after: str = "") -> Series[RunEvent]:
        """What a run says of itself, from its beginning (or behind the event `after`) until it ends, on through cuts.

        The last event is `end`, with the run's state and message.

        Raises:
            ProblemError, UnreachableError
        """

        return listen(self.wire, at("runs", uid, "events"), _event, after=after, last=END)

    @endpoint
    def wait(self, uid: str) -> Steps[Run]:
        """The run once it has succeeded.

        Raises:
            RunEndedError: it ended otherwise.
        """
        return wait_for_run(self.wire, uid)


class Iterations(Resource[D]):
    """Turns of the loop."""

    @feed
    def list(
        self,
        *,
        state: str | None = None,
        number: int | None = None,
        since: datetime | None = None,
        fields: Sequence[str] = (),
    ) -> Series[Iteration]:
        filters = given(state=state, number=number, since=since)
        return self.wire.pages("iterations", Iteration.of, {"fields": fields, **filters})

    @endpoint
    def get(self, iteration: int, *, fields: Sequence[str] = ()) -> Steps[Iteration]:
        response = yield from self.wire.ask("GET", at("iterations", iteration), params={"fields": fields})
        return Iteration.of(response.json())


def read_run(wire: Wire, uid: str) -> Steps[Run]:
    return Run.of((yield from wire.ask("GET", at("runs", uid))).json())


def wait_for_run(wire: Wire, uid: str) -> Steps[Run]:
    """The run once it has succeeded.

    Raises:
        RunEndedError: it ended otherwise.
    """
    while (run := (yield from read_run(wire, uid))).state in ACTIVE:
        yield from sleep(LOOK)
    if run.state != "succeeded":
        raise RunEndedError(f"Run {uid} has {run.state}. {run.message}".strip(), state=run.state)
    return run


def _event(event: ServerEvent) -> RunEvent:
    said = json.loads(event.data)
    if event.type not in (PROGRESS, END):
        return RunEvent.of({"id": event.id, **said})
    return RunEvent.of({"id": event.id, "type": event.type, "at": None, "data": said})
