"""State machines of runs, iterations and live prompts: what is true in each state, and which moves are legal.

Knows names and tables. Must not know rows, clocks or processes; services move rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class RunState(StrEnum):
    """A run, seen by whoever asked for it."""

    QUEUED = "queued"  # waits for a worker; its folder may hold checkpoints of an earlier attempt
    RUNNING = "running"  # a worker has claimed it and its heartbeat is fresh, or its loss is not yet noticed
    CANCELLING = "cancelling"  # somebody asked to stop; the process has not ended yet
    SUCCEEDED = "succeeded"  # result.json is read and its product registered
    FAILED = "failed"  # the work said no; the message says what the researcher can change
    ERRORED = "errored"  # our code broke, or the process was lost too often
    CANCELLED = "cancelled"  # stopped because somebody asked; the last checkpoint stands


RUN_ACTIVE: Final = frozenset({RunState.QUEUED, RunState.RUNNING, RunState.CANCELLING})
RUN_ENDED: Final = frozenset(RunState) - RUN_ACTIVE

RUN_MOVES: Final[Mapping[RunState, frozenset[RunState]]] = MappingProxyType(
    {
        RunState.QUEUED: frozenset({RunState.RUNNING, RunState.CANCELLED}),
        # Back to the queue: the process is lost, or was told to stop though nobody asked for a cancel, as
        # when a worker is deployed anew. Either way the next attempt goes on from the last checkpoint.
        RunState.RUNNING: frozenset(
            {
                RunState.SUCCEEDED,
                RunState.FAILED,
                RunState.ERRORED,
                RunState.CANCELLING,
                RunState.QUEUED,
            }
        ),
        # A request is no fact: the process may end in its own way first.
        RunState.CANCELLING: frozenset(
            {RunState.CANCELLED, RunState.SUCCEEDED, RunState.FAILED, RunState.ERRORED}
        ),
        RunState.SUCCEEDED: frozenset(),
        RunState.FAILED: frozenset({RunState.QUEUED}),
        RunState.ERRORED: frozenset({RunState.QUEUED}),
        RunState.CANCELLED: frozenset({RunState.QUEUED}),
    }
)


class IterationState(StrEnum):
    """One turn of the loop, V(n) to V(n+1) (section 3.2.3): the last stage all of whose steps are done.

    A stage that the recipe has no step of is passed at once.
    """

    COLLECTING = "collecting"  # its batch is open
    SEALED = "sealed"  # its batch is sealed; the snapshot comes next
    SNAPSHOT = "snapshot"  # the snapshot is written
    REWARDED = "rewarded"  # its reward models are registered
    SELECTED = "selected"  # all that it makes to learn from is there
    TUNED = "tuned"  # its new policy is registered
    FED_BACK = "fed_back"  # complete; the new policy's pairs wait in the next batch


# An iteration only goes forward: what it made stays, and a step that went wrong is a run to retry.
ITERATION_MOVES: Final[Mapping[IterationState, frozenset[IterationState]]] = MappingProxyType(
    {
        IterationState.COLLECTING: frozenset({IterationState.SEALED}),
        IterationState.SEALED: frozenset({IterationState.SNAPSHOT}),
        IterationState.SNAPSHOT: frozenset({IterationState.REWARDED}),
        IterationState.REWARDED: frozenset({IterationState.SELECTED}),
        IterationState.SELECTED: frozenset({IterationState.TUNED}),
        IterationState.TUNED: frozenset({IterationState.FED_BACK}),
        IterationState.FED_BACK: frozenset(),
    }
)


class StepState(StrEnum):
    """One step of an iteration. What became of a started one is the state of its run."""

    WAITING = "waiting"  # nothing of it is begun
    STARTED = "started"  # its run is queued, at work, or ended without success
    DONE = "done"  # what it makes is there, made by its own run or by an earlier one


STEP_MOVES: Final[Mapping[StepState, frozenset[StepState]]] = MappingProxyType(
    {
        # A step that finds its work done already is never started.
        StepState.WAITING: frozenset({StepState.STARTED, StepState.DONE}),
        StepState.STARTED: frozenset({StepState.DONE}),
        StepState.DONE: frozenset(),
    }
)


class LiveState(StrEnum):
    """A prompt that an annotator wrote."""

    ASKING = "asking"  # one attempt is at work, or its loss is not yet noticed
    ANSWERED = "answered"  # its pair is stored and leased to its writer
    STOPPED = "stopped"  # its writer stopped it, or wrote another one
    FAILED = "failed"  # no two different answers came; the message says why
    DROPPED = "dropped"  # its writer gave it up


# Asking again is a move of its own from asking too: the newer attempt wins.
LIVE_MOVES: Final[Mapping[LiveState, frozenset[LiveState]]] = MappingProxyType(
    {
        LiveState.ASKING: frozenset(LiveState),
        LiveState.ANSWERED: frozenset(),
        LiveState.STOPPED: frozenset({LiveState.ASKING, LiveState.DROPPED}),
        LiveState.FAILED: frozenset({LiveState.ASKING, LiveState.DROPPED}),
        LiveState.DROPPED: frozenset(),
    }
)
