"""Sees one claimed run through: starts its process on this machine, follows it, records its end.

Steps:

1. Write the spec and the files it names into the run's folder, once; a later attempt finds them there.
2. Start `python -m training.core.cli --tied`, or several by `accelerate launch`, as the settings say: standard input
   is a pipe from here, so they die with us.
3. Twice a heartbeat: read its events, beat, and pass a wish to cancel on as SIGTERM, later SIGKILL.
4. Turn the exit code into the end of the run; of several processes, what the leading one said. A process that was
   lost gives the run back to the queue. What a run made is copied to the shared storage before a row says that it is
   there.

Knows processes and exit codes; what a kind of run reads and makes stands in services.kinds.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import structlog
from django.conf import settings
from django.db import Error as DatabaseError
from django.db import close_old_connections, connection

from annotation.errors import DomainError
from training.core.events import Event, EventType, read_events
from training.core.launch_plan import commands_of, is_alone
from training.core.spec import RunKind
from training.core.states import RunState
from training.errors import ClaimLostError
from training.models import Run
from training.services import kinds, runs, storage
from training.services.estimates import house_place

log = structlog.get_logger(__name__)

POLL = 0.1  # seconds between looks at the process

# Set when the worker shuts down: its runs go back to the queue at once and not after RUN_SILENCE.
stopping = threading.Event()

EXIT_ERRORED = 1
EXIT_FAILED = 2
EXIT_CANCELLED = 130
EXIT_SILENT = 256  # no process's own: several ended, and the leading one did not say why

# accelerate's own exit code says only whether all went well: the last word of the leading process says the rest.
SAID: Final[Mapping[str, int]] = MappingProxyType(
    {
        EventType.STARTED: EXIT_SILENT,
        EventType.FINISHED: 0,
        EventType.FAILED: EXIT_FAILED,
        EventType.ERRORED: EXIT_ERRORED,
        EventType.CANCELLED: EXIT_CANCELLED,
    }
)
# What gloo and NCCL say in the leading process when another one is gone: lost, and no fault of the code.
PEER_GONE: Final = ("Connection reset by peer", "Connection closed by peer", "remote process exited")


def launch(run: Run) -> None:
    """Run a claimed run to its end, or give it back. Never raises for what the run itself did."""
    with contextlib.suppress(ClaimLostError):
        try:
            spec = kinds.write_spec(run)
        except DomainError as error:
            runs.end_run(run=run, state=RunState.FAILED, message=error.message)
        except Exception as error:  # our bug: the run must not stay claimed for ever
            log.exception("run not prepared", run=run.pk)
            runs.end_run(run=run, state=RunState.ERRORED, message=f"Could not be prepared: {error}")
        else:
            _see_through(run, spec)


def _see_through(run: Run, spec: Path) -> None:
    try:
        code = _Follower(run, spec).follow()
    except OSError as error:
        log.exception("process not started", run=run.pk)
        runs.release_run(run=run, reason=f"Its process could not be started: {error}")
    else:
        _conclude(run, code)


class _Follower:
    """One process and the row that stands for it."""

    def __init__(self, run: Run, spec: Path) -> None:
        self.run = run
        self.spec = spec
        self.offset = run.events_read
        self.asked_to_stop: float | None = None
        self.said = EXIT_SILENT

    def follow(self) -> int:
        """The exit code of the process; negative for a signal.

        Raises:
            ClaimLostError: the run belongs to somebody else; the process has been killed.
        """
        with (self.run.folder / "log.txt").open("ab") as log_file, self._start(log_file) as process:
            try:
                self._watch(process)
            except ClaimLostError:
                process.kill()
                raise
        self._drain()
        return process.returncode if self.alone or not process.returncode else self.said

    @property
    def alone(self) -> bool:
        return is_alone(RunKind(self.run.kind), self.run.params, house_place())

    def _start(self, log_file: Any) -> subprocess.Popen[bytes]:
        commands = commands_of(
            RunKind(self.run.kind),
            self.run.params,
            house_place(),
            spec=str(self.spec),
            out=str(self.run.folder),
            tied=True,
        )
        return subprocess.Popen(
            commands[0],
            stdin=subprocess.PIPE,
            stdout=log_file,
            stderr=subprocess.STDOUT,
            cwd=settings.BASE_DIR,
            env=settings.RUN_ENVIRONMENT,
            # Ctrl-C in the worker's terminal is for the worker alone, which passes SIGTERM on.
            start_new_session=True,
        )

    def _watch(self, process: subprocess.Popen[bytes]) -> None:
        next_beat = 0.0
        while process.poll() is None:
            if time.monotonic() >= next_beat:
                state = self._beat()
                self._pass_on(process, wanted=state == RunState.CANCELLING or stopping.is_set())
                next_beat = time.monotonic() + settings.RUN_HEARTBEAT / 2
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(POLL)

    def _pass_on(self, process: subprocess.Popen[bytes], *, wanted: bool) -> None:
        if not wanted:
            return
        if self.asked_to_stop is None:
            self.asked_to_stop = time.monotonic()
            process.send_signal(signal.SIGTERM)
        elif time.monotonic() - self.asked_to_stop > settings.RUN_GRACE:
            process.kill()

    def _drain(self) -> None:
        """Read to the end of the stream: its last line says why the process ended."""
        before = -1
        while before != self.offset:
            before = self.offset
            self._beat()

    def _beat(self) -> RunState:
        """A database that does not answer costs a beat, not the run."""
        events, offset = read_events(self.run.folder / "events.jsonl", self.offset)
        try:
            if (
                not connection.in_atomic_block
            ):  # else the transaction is somebody else's, and so the connection
                close_old_connections()
            state = runs.beat_run(run=self.run, events=events, events_read=offset)
        except DatabaseError:
            log.warning("beat not stored", run=self.run.pk, exc_info=True)
            return RunState(self.run.state)
        self.offset = offset
        for event in events:
            self.said = _meant(event, self.said)
        return state


def _conclude(run: Run, code: int) -> None:
    if code == 0:
        _succeed(run)
    elif code == EXIT_FAILED:
        runs.end_run(run=run, state=RunState.FAILED, message=_said(run, EventType.FAILED))
    elif code == EXIT_ERRORED:
        runs.end_run(run=run, state=RunState.ERRORED, message=_said(run, EventType.ERRORED))
    elif run.state == RunState.CANCELLING:
        message = "Cancelled. A retry goes on from the last checkpoint."
        runs.end_run(run=run, state=RunState.CANCELLED, message=message)
    elif stopping.is_set():
        reason = "The worker shut down; the run goes on when one starts."
        runs.release_run(run=run, reason=reason, lost=False)
    else:
        runs.release_run(run=run, reason=_loss(code))


def _succeed(run: Run) -> None:
    try:
        outcome = kinds.collect(run)
        storage.store_output(run, alive=_Alive(run))
        runs.end_run(
            run=run,
            state=RunState.SUCCEEDED,
            result=outcome.result,
            register=lambda: kinds.register(run, outcome),
        )
    except ClaimLostError:
        raise
    except DomainError as error:
        runs.end_run(run=run, state=RunState.FAILED, message=error.message)
    except Exception as error:  # our bug: the run must not stay claimed for ever
        log.exception("run not registered", run=run.pk)
        runs.end_run(run=run, state=RunState.ERRORED, message=f"Its result could not be stored: {error}")


def _meant(event: Event, before: int) -> int:
    """The exit code that an event of the leading process stands for; `before` where it stands for none."""
    if any(words in str(event.data.get("message", "")) for words in PEER_GONE):
        return EXIT_SILENT
    return SAID.get(event.type, before)


class _Alive:
    """Called again and again while something takes long: beats. Raises ClaimLostError where the run went elsewhere."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.beaten = time.monotonic()

    def __call__(self) -> None:
        if time.monotonic() - self.beaten >= settings.RUN_HEARTBEAT / 2:
            self.beaten = time.monotonic()
            with contextlib.suppress(DatabaseError):
                runs.beat_run(run=self.run, events=[], events_read=self.run.events_read)


def _said(run: Run, kind: EventType) -> str:
    """What the process said in this attempt; an earlier attempt's last words explain nothing."""
    since = run.events.filter(type="state", data__state=RunState.RUNNING).last()
    spoken = run.events.filter(type=kind, pk__gt=since.pk if since else 0).last()
    return str(spoken.data.get("message", "")) if spoken else "It ended without saying why; see the log."


def _loss(code: int) -> str:
    if code == EXIT_SILENT:
        return "One of its processes was lost, and the others with it; the log says which."
    if code >= 0:
        return f"Its process ended with exit code {code}."
    if -code == signal.SIGKILL:
        return "Its process was killed by SIGKILL; often the machine was short of memory."
    return f"Its process was killed by signal {-code} ({signal.strsignal(-code)})."
