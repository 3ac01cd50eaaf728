"""What follows when a step is done: the columns it fills, the stage that is reached, and the iteration after it."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.utils import timezone

from annotation.core.events import Event
from annotation.errors import ConflictError, IllegalMoveError
from annotation.models import User
from annotation.services.audit import record
from annotation.services.webhooks import announce
from rewardmodel.models import RewardModelVersion
from training.core.plan import stage_reached
from training.core.recipe import MAKES_POLICY, StepKind
from training.core.states import ITERATION_MOVES, IterationState, StepState
from training.models import Iteration, PolicyVersion, Run
from training.models.policies import IterationStep
from training.services.iterations.compose import follow
from training.services.iterations.rows import steps_of


@transaction.atomic
def finish(
    iteration: Iteration, step: IterationStep, *, run: Run | None = None, reused: bool = False
) -> bool:
    """Mark a step as done by `run` and keep what it made; false where it was done already."""
    left = IterationStep.objects.filter(pk=step.pk).exclude(state=StepState.DONE)
    values: dict[str, Any] = {
        "state": StepState.DONE,
        "run": run,
        "reused": reused,
        "digest": step.digest,
        "params": step.params,
        "ended_at": timezone.now(),
    }
    if not left.update(**values):
        return False
    for name, value in values.items():
        setattr(step, name, value)
    if run is not None:
        keep_product(iteration, step, run)
    return True


def keep_product(iteration: Iteration, step: IterationStep, run: Run) -> None:
    """Fill the iteration's columns with what a run made."""
    if step.kind == StepKind.TRAIN_REWARD_MODEL:
        version = RewardModelVersion.objects.get(run=str(run.uid))
        _fill(iteration, **{version.focus: version})
    elif step.kind in MAKES_POLICY:
        policy = PolicyVersion.objects.get(run=str(run.uid))
        PolicyVersion.objects.filter(pk=policy.pk, iteration=None).update(iteration=iteration)
        if step.name == last_policy_step(iteration):
            _fill(iteration, tuned=policy)


def last_policy_step(iteration: Iteration) -> str:
    """The step whose policy is the iteration's."""
    made = iteration.steps.filter(kind__in=MAKES_POLICY).order_by("position")
    return str(made.values_list("name", flat=True).last() or "")


def _fill(iteration: Iteration, **columns: Any) -> None:
    for name, value in columns.items():
        setattr(iteration, name, value)
    iteration.save(update_fields=list(columns))


@transaction.atomic
def settle(iteration: Iteration, by: User | None = None) -> None:
    """Move the iteration to the stage that its steps have reached, stage by stage, and begin the next one."""
    reached = stage_reached(steps_of(iteration))
    order = list(IterationState)
    while order.index(IterationState(iteration.state)) < order.index(reached):
        move(iteration, order[order.index(IterationState(iteration.state)) + 1], by)
        if iteration.state == IterationState.FED_BACK:
            follow(iteration)


@transaction.atomic
def move(iteration: Iteration, to: IterationState, by: User | None = None) -> None:
    """Compare-and-set on the state that the caller saw."""
    frm = IterationState(iteration.state)
    if to not in ITERATION_MOVES[frm]:
        raise IllegalMoveError(f"{iteration} is {frm} and cannot become {to}.")
    if not Iteration.objects.filter(pk=iteration.pk, state=frm).update(state=to):
        raise ConflictError(f"{iteration} was moved on by somebody else meanwhile.")
    iteration.state = to
    record("iteration.moved", iteration, by=by, state=[frm, to])
    told = {"id": iteration.pk, "number": iteration.number, "from": frm, "to": to}
    announce(Event.ITERATION_MOVED, told)
