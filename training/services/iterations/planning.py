"""What an iteration is going to do, step by step: with which parameters, on what, whether that was done before, and
what it is likely to cost.

The plan starts every step that can be started as it would really be, looks, and takes all of it back. So it says of
each step what pressing the button would do, the reason too where the button would refuse.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from django.db import transaction

from annotation.core.recipe import Recipe as SnapshotRecipe
from annotation.core.states import BatchState, SnapshotState
from annotation.errors import DomainError
from annotation.queries import batch_progress
from annotation.services.snapshots import request_snapshot
from rewardmodel.standing import current_version
from training.core.estimate import Estimate
from training.core.recipe import BASE, FIRST, JUDGED_BY, StepKind
from training.core.spec import RunKind
from training.core.states import RUN_ACTIVE, StepState
from training.models import Iteration, Run
from training.models.policies import IterationStep
from training.services.estimates import estimate_run
from training.services.iterations.moving import finish
from training.services.iterations.rows import actual_runs, steps_of
from training.services.iterations.starting import begin, snapshot_batches
from training.services.runs import check_params


class Fate(StrEnum):
    """What becomes of a step."""

    DONE = "done"  # its own work, or that of another iteration, is there
    WORKING = "working"  # its run is queued or at work
    BROKEN = "broken"  # its run ended without success; starting it again tries that run again
    REUSE = "reuse"  # the same work was done before and will be used again
    NEW = "new"  # it will be computed
    REFUSED = "refused"  # it cannot be started; `why` says what to change


@dataclass(frozen=True, slots=True)
class PlanLine:
    """One step of a plan.

    Attributes:
        reads: what it reads, in words a person knows.
        run: primary key of the run that did it, does it, or would be used again.
        seconds, memory_bytes: the estimated cost; None where nothing is known or nothing is to do.
    """

    name: str
    kind: str
    fate: Fate
    params: Mapping[str, Any]
    seed: int | None = None
    reads: tuple[str, ...] = ()
    why: str = ""
    run: int | None = None
    seconds: float | None = None
    memory_bytes: int | None = None

    def to_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__} | {"reads": list(self.reads)}


@dataclass(slots=True)
class _Foresight:
    """What is known while the plan goes through the steps: the names of those whose product is not there."""

    iteration: Iteration
    open: set[str] = field(default_factory=set)


def plan_iteration(iteration: Iteration) -> list[PlanLine]:
    """Its steps in their order. Nothing is changed."""
    with transaction.atomic():
        row = Iteration.objects.get(pk=iteration.pk)
        seen = _Foresight(row)
        steps = steps_of(row)
        held = actual_runs(row, steps)
        lines = [_line(seen, step, held.get(step.pk)) for step in steps]
        transaction.set_rollback(True)
    return lines


def total_seconds(lines: list[PlanLine]) -> float | None:
    """Of what is still to compute; None where nothing is known of one of its runs."""
    left = [
        one for one in lines if one.fate in (Fate.NEW, Fate.WORKING, Fate.BROKEN) and one.kind not in FIRST
    ]
    known = [line.seconds for line in left if line.seconds is not None]
    return sum(known) if len(known) == len(left) else None


def _line(seen: _Foresight, step: IterationStep, run: Run | None) -> PlanLine:
    if step.state == StepState.DONE:
        return _told(seen, step, Fate.DONE, "used again" if step.reused else "", run)
    if step.kind in FIRST:
        return _first(seen, step)
    if run is not None:
        seen.open.add(step.name)
        fate = Fate.WORKING if run.state in RUN_ACTIVE else Fate.BROKEN
        return _told(seen, step, fate, run.message or f"run {run.pk} is {run.state}", run, run.inputs)
    if missing := [name for name in step.after if name in seen.open]:
        seen.open.add(step.name)
        likely = likely_inputs(seen.iteration, step)
        return _told(seen, step, Fate.NEW, f"reads {', '.join(missing)}, still to come", None, likely)
    return _foreseen(seen, step)


def _foreseen(seen: _Foresight, step: IterationStep) -> PlanLine:
    """Start a step whose inputs are all there, and say what came of it."""
    try:
        with transaction.atomic():
            run = begin(seen.iteration, step, None)
            if run is not None:
                transaction.set_rollback(True)
    except DomainError as error:
        seen.open.add(step.name)
        return _told(seen, step, Fate.REFUSED, error.message)
    if run is None:
        return _told(seen, step, Fate.REUSE, f"run {step.run_id} did the same", step.run)
    seen.open.add(step.name)
    line = _told(seen, step, Fate.NEW, "", None, run.inputs)
    seen.iteration.refresh_from_db()
    return line


def _first(seen: _Foresight, step: IterationStep) -> PlanLine:
    iteration = seen.iteration
    if step.kind == StepKind.SNAPSHOT and "seal" not in seen.open:
        numbers = tuple(batch.number for batch in snapshot_batches(iteration))
        snapshot = request_snapshot(recipe=SnapshotRecipe(batches=numbers))
        if snapshot.state == SnapshotState.READY:
            finish(iteration, step)
            iteration.snapshot = snapshot
            iteration.save(update_fields=["snapshot"])
            return _told(seen, step, Fate.REUSE, f"{snapshot} holds the same weeks")
    seen.open.add(step.name)
    why = ""
    if step.kind == StepKind.SEAL and iteration.batch.state != BatchState.SEALED:
        progress = batch_progress(iteration.batch)
        why = f"{progress.complete:,} of {progress.comparisons:,} pairs are complete"
    return _told(seen, step, Fate.NEW, why)


def _told(
    seen: _Foresight,
    step: IterationStep,
    fate: Fate,
    why: str = "",
    run: Run | None = None,
    inputs: Mapping[str, Any] | None = None,
) -> PlanLine:
    estimate = None if inputs is None else _estimate(step, inputs)
    return PlanLine(
        name=step.name,
        kind=step.kind,
        fate=fate,
        params=dict(step.params),
        seed=step.seed,
        reads=reads_in_words(seen.iteration, step),
        why=why,
        run=run.pk if run else None,
        seconds=estimate.seconds if estimate else None,
        memory_bytes=estimate.memory_bytes if estimate else None,
    )


def reads_in_words(iteration: Iteration, step: IterationStep) -> tuple[str, ...]:
    """What a step reads, by names that a person knows."""
    if step.kind == StepKind.SEAL:
        return (iteration.batch.name,)
    if step.kind == StepKind.SNAPSHOT:
        return (f"every sealed week up to {iteration.batch.name}",)
    policy = step.reads.get("policy", "")
    named = {"policy": iteration.policy.name, "base": iteration.base.name}
    words = [named.get(policy, f"the policy of {policy}")] if policy else []
    if step.kind == StepKind.TRAIN_REWARD_MODEL:
        words.insert(0, str(iteration.snapshot) if iteration.snapshot else "the snapshot")
    words += [f"the current {focus} model" for focus in JUDGED_BY.get(StepKind(step.kind), ())]
    return (*words, *(f"the targets of {name}" for name in step.reads.get("targets", [])))


def _estimate(step: IterationStep, inputs: Mapping[str, Any]) -> Estimate | None:
    """What the run is likely to cost; None where nobody can say."""
    return estimate_run(kind=RunKind(step.kind), params=step.params, inputs=inputs)


def likely_inputs(iteration: Iteration, step: IterationStep) -> dict[str, Any]:
    """What a step will read, as far as it can be told before the steps that it waits for: of a policy still to come the
    size of the one it is made from, of targets how many prompts are asked."""
    policy = iteration.base.pk if step.reads.get("policy") == BASE else iteration.policy.pk
    if step.kind == StepKind.TRAIN_REWARD_MODEL:
        return {"backbone": iteration.base.pk, "batch": iteration.batch.pk}
    if step.kind == StepKind.SAMPLE:
        return {"policies": [policy, policy]}
    if step.kind == StepKind.FINETUNE:
        return {"base": policy, "examples": _asked(iteration, step)}
    judges = {str(focus): current_version(focus) for focus in JUDGED_BY.get(StepKind(step.kind), ())}
    return {"policy": policy, **{focus: judge.pk for focus, judge in judges.items() if judge}}


def _asked(iteration: Iteration, step: IterationStep) -> int:
    """Prompts of the steps whose targets a fine-tuning reads."""
    makers = iteration.steps.filter(name__in=step.reads.get("targets", []))
    return sum(int(check_params(RunKind(one.kind), one.params).get("prompts", 0)) for one in makers)
