"""Which steps of an iteration come next, how far it is, and whether two steps are the same work.

Knows the states of steps and what each waits for. Must not know rows or clocks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, Protocol, TypeVar

from annotation.core.records import canonical_json
from training.core.recipe import FIRST, MAKES_POLICY, MAKES_TARGETS, StepKind
from training.core.states import IterationState, StepState


class StepNow(Protocol):
    """A step as it stands."""

    @property
    def name(self) -> str: ...

    @property
    def kind(self) -> str: ...

    @property
    def state(self) -> str: ...

    @property
    def after(self) -> Sequence[str]: ...


S = TypeVar("S", bound=StepNow)

# Raise the number of a kind when its runs come to make something else of the same inputs: what was made before is
# then made anew and not used again.
VERSIONS: Final[Mapping[StepKind, int]] = MappingProxyType(dict.fromkeys(StepKind, 1))


def stage_of(kind: str) -> IterationState:
    """The state that an iteration reaches once all its steps of this stage are done."""
    if kind == StepKind.SEAL:
        return IterationState.SEALED
    if kind == StepKind.SNAPSHOT:
        return IterationState.SNAPSHOT
    if kind == StepKind.TRAIN_REWARD_MODEL:
        return IterationState.REWARDED
    if kind in MAKES_TARGETS:
        return IterationState.SELECTED
    return IterationState.TUNED if kind in MAKES_POLICY else IterationState.FED_BACK


def stage_reached(steps: Iterable[StepNow]) -> IterationState:
    """The last stage before which nothing is left to do."""
    missing = {stage_of(step.kind) for step in steps if step.state != StepState.DONE}
    reached = IterationState.COLLECTING
    for stage in list(IterationState)[1:]:
        if stage in missing:
            break
        reached = stage
    return reached


def next_wave(steps: Sequence[S]) -> list[S]:
    """The first step that is not done, and those right behind it that wait for none that is not done: they can work
    beside each other. Sealing and the snapshot come alone."""
    done = {step.name for step in steps if step.state == StepState.DONE}
    wave: list[S] = []
    for step in steps:
        if step.state == StepState.DONE:
            continue
        if not set(step.after) <= done:
            break
        wave.append(step)
        if step.kind in FIRST:
            break
    return wave


def step_digest(*, kind: StepKind, params: Mapping[str, Any], seed: int, reads: Mapping[str, Any]) -> str:
    """Names what a step computes: two steps with the same digest make the same.

    Args:
        params: all of them, the usual ones filled in.
        reads: hashes of the content that it reads, by the name of the input.
    """
    whole = {"kind": kind, "version": VERSIONS[kind], "params": params, "seed": seed, "reads": reads}
    return hashlib.sha256(canonical_json(whole).encode()).hexdigest()
