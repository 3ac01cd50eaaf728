"""Driving an iteration to its end without people: the same services as the buttons, one wave of steps after the other.

Knows iterations and whoever watches. Must not know terminals or how a run is waited for beyond asking its row.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import MappingProxyType
from typing import Final, Protocol

from annotation.errors import ConflictError
from training.core.plan import next_wave
from training.core.recipe import StepKind
from training.core.states import RUN_ENDED, RunState, StepState
from training.models import Iteration, Run
from training.services import iterations, runs

POLL = 0.1  # seconds
SWEEP = 2.0


class LoopError(Exception):
    """A run ended without success; says which, why, and where its log is."""


class PausedError(Exception):
    """Somebody paused the iteration."""


class Watcher(Protocol):
    """Is told what happens."""

    def stage(self, name: str) -> None: ...

    def progress(self, text: str, done: int, total: int) -> None: ...

    def finished(self, name: str, seconds: float, what: str) -> None: ...

    def tick(self) -> None:
        """Called while waiting: look after the worker here."""


Wait = Callable[[Run], None]

# What the watcher is told a wave is called, by the kind of its first step.
STAGE_NAMES: Final = MappingProxyType(
    {
        StepKind.SEAL: "seal",
        StepKind.SNAPSHOT: "snapshot",
        StepKind.TRAIN_REWARD_MODEL: "reward models",
        StepKind.REJECTION_SAMPLE: "select",
        StepKind.GATT: "gatt",
        StepKind.DISTILL: "distill",
        StepKind.SELF_CHAT: "self-chat",
        StepKind.FINETUNE: "fine-tune",
        StepKind.PPO: "ppo",
        StepKind.SAMPLE: "feed back",
    }
)


def drive(
    iteration: Iteration, *, watcher: Watcher, wait: Wait | None = None, until: str = ""
) -> dict[str, float]:
    """Start step after step until the iteration is complete, or until the step (or all steps of the kind) `until` is
    done; returns the seconds of each wave by its name. What a run did before is not done again.

    Args:
        wait: returns once a run has succeeded and raises where it ended otherwise; None: `wait_for` of this module.

    Raises:
        LoopError: a run ended without success.
        PausedError: the iteration is paused, or was paused meanwhile.
        DomainError: the next step cannot be started.
    """
    wait = wait or (lambda run: wait_for(run, watcher))
    seconds: dict[str, float] = {}
    while wave := _left(iteration, until):
        name = STAGE_NAMES[StepKind(wave[0])]
        with timed(name, watcher, seconds) as say:
            started = _start(iteration)
            for run in started:
                _see_through(iteration, run, wait)
            say(f"runs {', '.join(str(run.pk) for run in started)}" if started else "")
    iteration.refresh_from_db()
    return seconds


def _left(iteration: Iteration, until: str) -> list[str]:
    """The kinds of the steps that come next; none where all that is wanted is done."""
    steps = iterations.steps_of(iteration)
    if until:
        wanted = [step for step in steps if until in (step.name, step.kind)]
        if not wanted:
            names = ", ".join(step.name for step in steps)
            raise ConflictError(f"{iteration} has no step {until!r}: choose from {names}.")
        if all(step.state == StepState.DONE for step in wanted):
            return []
    return [step.kind for step in next_wave(steps)]


def _start(iteration: Iteration) -> list[Run]:
    iteration.refresh_from_db()
    if iteration.paused_at is not None:
        raise PausedError(f"{iteration} is paused. Resume it to go on.")
    return iterations.start_next(iteration=iteration)


def _see_through(iteration: Iteration, run: Run, wait: Wait) -> None:
    try:
        wait(run)
    except LoopError:
        iteration.refresh_from_db()
        if iteration.paused_at is not None:
            raise PausedError(f"{iteration} was paused, and {run} is {run.state}.") from None
        raise


def wait_for(run: Run, watcher: Watcher) -> None:
    """Until the run has succeeded, sweeping on the way: a beat may not be there.

    Raises:
        LoopError: it ended otherwise.
    """
    swept = time.monotonic()
    while run.state not in RUN_ENDED:
        time.sleep(POLL)
        watcher.tick()
        if time.monotonic() - swept > SWEEP:
            runs.sweep_runs()
            swept = time.monotonic()
        run.refresh_from_db()
        watcher.progress(f"{run.kind} {run.stage}".strip(), run.done, run.total)
    if run.state != RunState.SUCCEEDED:
        raise LoopError(f"{run} {run.state}: {run.message} Its log: {run.folder / 'log.txt'}")


@contextmanager
def timed(name: str, watcher: Watcher, seconds: dict[str, float]) -> Iterator[Callable[[str], None]]:
    """Tell the watcher of a stage, and keep how long it took; yields what says what came of it."""
    watcher.stage(name)
    words: list[str] = []
    began = time.monotonic()
    yield words.append
    took = round(time.monotonic() - began, 1)
    seconds[name] = round(seconds.get(name, 0.0) + took, 1)
    watcher.finished(name, took, " ".join(words))
