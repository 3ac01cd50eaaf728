"""One turn of the loop, stage by stage.

`start_next` does the next sensible thing and may be called again at any time: runs carry keys, so what was
started already is not started twice. `note_success` moves the iteration on when a run ends well.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db import transaction
from django.db.models import Max

from annotation.core.events import Event
from annotation.core.grades import Focus
from annotation.core.states import BatchState
from annotation.errors import ConflictError, IllegalMoveError
from annotation.models import Batch, User
from annotation.queries import planned_after
from annotation.services import batches, snapshots
from annotation.services.audit import record
from annotation.services.webhooks import announce
from rewardmodel.models import RewardModelVersion
from rewardmodel.standing import current_version
from training.core.spec import RunKind
from training.core.states import ITERATION_MOVES, RUN_ENDED, IterationState, RunState
from training.errors import InvalidSpecError, NotReadyError
from training.models import Iteration, PolicyVersion, Run
from training.services import runs, start
from training.services.sampling import sample_week


@transaction.atomic
def create_iteration(
    *,
    batch: Batch,
    policy: PolicyVersion,
    base: PolicyVersion,
    seed: int = 0,
    params: dict[str, Any] | None = None,
    by: User | None = None,
) -> Iteration:
    """Begin V(n+1) on a batch. `params` holds the parameters of each kind of run by its name."""
    checked = {}
    for kind, values in (params or {}).items():
        if kind not in set(RunKind):
            raise InvalidSpecError(
                f"There is no kind of run named {kind!r}: choose from {', '.join(RunKind)}."
            )
        fixed = {"focus": Focus.HELPFULNESS} if kind == RunKind.TRAIN_REWARD_MODEL else {}
        runs.check_params(RunKind(kind), {**values, **fixed})
        checked[kind] = dict(values)
    if (other := Iteration.objects.filter(batch=batch).first()) is not None:
        raise ConflictError(f"{batch.name} belongs to {other} already. Begin on another batch.")
    number = (Iteration.objects.aggregate(last=Max("number"))["last"] or 0) + 1
    iteration = Iteration.objects.create(
        number=number, batch=batch, policy=policy, base=base, seed=seed, params=checked
    )
    record("iteration.begun", iteration, by=by, batch=batch.name, policy=policy.name)
    return iteration


def start_next(*, iteration: Iteration, by: User | None = None) -> list[Run]:
    """Do the iteration's next stage; returns the runs now at work for it (none if it was instant)."""
    iteration.refresh_from_db()
    return STAGES[IterationState(iteration.state)](iteration, by)


def next_action(iteration: Iteration) -> str:
    """The next sensible thing to do, as the words of a button; empty when the iteration is complete."""
    return ACTIONS[IterationState(iteration.state)]


def _seal(iteration: Iteration, by: User | None) -> list[Run]:
    with transaction.atomic():
        if iteration.batch.state != BatchState.SEALED:
            batches.seal_batch(batch=iteration.batch, by=by)
        _move(iteration, IterationState.SEALED, by)
    return []


def _snapshot(iteration: Iteration, by: User | None) -> list[Run]:
    """Reward models train on everything sealed so far (section 3.2.2)."""
    sealed = Batch.objects.filter(state=BatchState.SEALED, number__lte=iteration.batch.number)
    snapshot = snapshots.create_snapshot(batches=list(sealed.order_by("number")), by=by)
    _move(iteration, IterationState.SNAPSHOT, by, snapshot=snapshot)
    return []


def _reward_models(iteration: Iteration, by: User | None) -> list[Run]:
    snapshot = iteration.snapshot
    if snapshot is None:
        raise NotReadyError(f"{iteration} has no snapshot yet.")
    return [
        _again_if_ended(
            start.start_train_reward_model(
                name=f"{focus}-{iteration}",
                snapshot=snapshot,
                backbone=iteration.base,
                params={**_params(iteration, RunKind.TRAIN_REWARD_MODEL), "focus": focus},
                seed=iteration.seed,
                key=f"{iteration}/{RunKind.TRAIN_REWARD_MODEL}/{focus}",
                iteration=iteration,
                by=by,
            ),
            by,
        )
        for focus in Focus
    ]


def _select(iteration: Iteration, by: User | None) -> list[Run]:
    """The current models choose: what the iteration trained where that was promoted, else what stayed current."""
    if iteration.helpfulness is None or iteration.safety is None:
        raise NotReadyError(f"{iteration} has no reward models yet.")
    run = start.start_rejection_sample(
        policy=iteration.policy,
        helpfulness=current_version(Focus.HELPFULNESS) or iteration.helpfulness,
        safety=current_version(Focus.SAFETY) or iteration.safety,
        params=_params(iteration, RunKind.REJECTION_SAMPLE),
        seed=iteration.seed,
        key=f"{iteration}/{RunKind.REJECTION_SAMPLE}",
        iteration=iteration,
        by=by,
    )
    return [_again_if_ended(run, by)]


def _tune(iteration: Iteration, by: User | None) -> list[Run]:
    selection = iteration.runs.get(key=f"{iteration}/{RunKind.REJECTION_SAMPLE}")
    run = start.start_finetune(
        name=f"policy-{iteration}",
        base=iteration.base,
        selection=selection,
        params=_params(iteration, RunKind.FINETUNE),
        seed=iteration.seed,
        key=f"{iteration}/{RunKind.FINETUNE}",
        iteration=iteration,
        by=by,
    )
    return [_again_if_ended(run, by)]


def _feed_back(iteration: Iteration, by: User | None) -> list[Run]:
    """Open the next week and sample its pairs from the new policy and the previous one (section 3.2.1)."""
    if iteration.tuned is None:
        raise NotReadyError(f"{iteration} has no new policy yet.")
    batch = iteration.next_batch or _open_next_batch(iteration, by)
    run = sample_week(
        batch=batch,
        policies=[iteration.tuned, iteration.policy],
        params=_params(iteration, RunKind.SAMPLE),
        seed=batch.seed,
        key=f"{iteration}/{RunKind.SAMPLE}",
        iteration=iteration,
        by=by,
    )
    return [_again_if_ended(run, by)]


@transaction.atomic
def _open_next_batch(iteration: Iteration, by: User | None) -> Batch:
    """The week that a researcher has planned to follow, or else the one that is proposed."""
    batch = planned_after(iteration.batch) or _as_proposed(iteration.batch, by)
    batch = batches.open_batch(batch=batch, by=by)
    if not Iteration.objects.filter(pk=iteration.pk, next_batch=None).update(next_batch=batch):
        raise ConflictError(f"{iteration} has opened its next batch already.")
    return batch


def _as_proposed(before: Batch, by: User | None) -> Batch:
    week = batches.propose_batch(after=before)
    return batches.create_batch(
        overlap=week.overlap,
        holdout=week.holdout,
        seed=week.seed,
        offer=week.offer,
        guidelines=week.guidelines,
        by=by,
    )


def _complete(iteration: Iteration, by: User | None) -> list[Run]:
    raise ConflictError(f"{iteration} is complete: its policy's pairs wait in {iteration.next_batch}.")


Stage = Callable[[Iteration, User | None], list[Run]]

STAGES: dict[IterationState, Stage] = {
    IterationState.COLLECTING: _seal,
    IterationState.SEALED: _snapshot,
    IterationState.SNAPSHOT: _reward_models,
    IterationState.REWARDED: _select,
    IterationState.SELECTED: _tune,
    IterationState.TUNED: _feed_back,
    IterationState.FED_BACK: _complete,
}

ACTIONS: dict[IterationState, str] = {
    IterationState.COLLECTING: "Seal the batch",
    IterationState.SEALED: "Write the snapshot",
    IterationState.SNAPSHOT: "Train both reward models",
    IterationState.REWARDED: "Sample and select",
    IterationState.SELECTED: "Fine-tune on the winners",
    IterationState.TUNED: "Open the next week with the new policy",
    IterationState.FED_BACK: "",
}


def _params(iteration: Iteration, kind: RunKind) -> dict[str, Any]:
    return dict(iteration.params.get(kind, {}))


def _again_if_ended(run: Run, by: User | None) -> Run:
    """A stage that is started again after its run failed or was cancelled retries that run."""
    if run.state in RUN_ENDED and run.state != RunState.SUCCEEDED:
        return runs.retry_run(run=run, by=by)
    return run


@transaction.atomic
def _move(iteration: Iteration, to: IterationState, by: User | None = None, **columns: Any) -> None:
    """Compare-and-set on the state that the caller saw."""
    frm = IterationState(iteration.state)
    if to not in ITERATION_MOVES[frm]:
        raise IllegalMoveError(f"{iteration} is {frm} and cannot become {to}.")
    if not Iteration.objects.filter(pk=iteration.pk, state=frm).update(state=to, **columns):
        raise ConflictError(f"{iteration} was moved on by somebody else meanwhile.")
    iteration.refresh_from_db()
    record("iteration.moved", iteration, by=by, state=[frm, to])
    told = {"id": iteration.pk, "number": iteration.number, "from": frm, "to": to}
    announce(Event.ITERATION_MOVED, told)


def note_success(run: Run) -> None:
    """Move the run's iteration on. Runs inside the transaction that ends the run."""
    if run.iteration_id is None or run.key is None:
        return
    iteration = Iteration.objects.select_for_update().get(pk=run.iteration_id)
    if run.kind == RunKind.TRAIN_REWARD_MODEL:
        _note_reward_model(iteration, run)
    elif run.kind == RunKind.REJECTION_SAMPLE:
        _move(iteration, IterationState.SELECTED)
    elif run.kind == RunKind.FINETUNE:
        _move(iteration, IterationState.TUNED, tuned=PolicyVersion.objects.get(run=str(run.uid)))
    elif run.kind == RunKind.SAMPLE:
        _begin_next(iteration)


def _note_reward_model(iteration: Iteration, run: Run) -> None:
    version = RewardModelVersion.objects.get(run=str(run.uid))
    setattr(iteration, version.focus, version)
    iteration.save(update_fields=[version.focus])
    if iteration.helpfulness_id and iteration.safety_id:
        _move(iteration, IterationState.REWARDED)


def _begin_next(iteration: Iteration) -> None:
    _move(iteration, IterationState.FED_BACK)
    if iteration.next_batch is None or iteration.tuned is None:
        return
    if not Iteration.objects.filter(batch=iteration.next_batch).exists():
        create_iteration(
            batch=iteration.next_batch,
            policy=iteration.tuned,
            base=iteration.base,
            seed=iteration.seed,
            params=iteration.params,
        )
