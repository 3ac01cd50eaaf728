"""Starting what comes next, by hand or by itself, and taking note of what has ended well.

Of two who start at once one holds the lock; the other then finds the runs there and gets the same ones. Work that was
done before is found by its digest: the run is queued through its door as always, and where a step with its digest is
done, the queueing is taken back and the step takes over that work. So the digest is that of what would really run.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import structlog
from django.db import transaction

from annotation.core.states import BatchState
from annotation.errors import ConflictError, DomainError
from annotation.models import Batch, Snapshot, User
from annotation.services import batches, snapshots
from training.core.plan import next_wave
from training.core.recipe import FIRST, StepKind
from training.core.states import RUN_ENDED, RunState, StepState
from training.models import Iteration, Run
from training.models.policies import IterationStep
from training.services import runs
from training.services.iterations.doors import fed_back_policies, open_door
from training.services.iterations.moving import finish, settle
from training.services.iterations.reuse import digest_of_feed_back, digest_of_run, twin_of
from training.services.iterations.rows import actual_runs, check_seen, key_of, locked, steps_of, turn_over

log = structlog.get_logger(__name__)


def start_next(*, iteration: Iteration, by: User | None = None, seen: int | None = None) -> list[Run]:
    """Start the steps that come next; returns the runs now at work for it (none if all was instant).

    A step whose run failed or was cancelled tries that run again. An automatic iteration goes on until something is at
    work. `seen` is the turn of the iteration that the person who asks has looked at.

    Raises:
        ConflictError: it is complete or paused, or has moved on since it was seen.
        DomainError: the next step cannot be started; says why.
    """
    iteration.refresh_from_db()
    while True:
        check_seen(iteration, seen)
        _check_open(iteration)
        started = _start_wave(iteration, by, seen)
        seen = None
        iteration.refresh_from_db()
        if started or not iteration.automatic or not next_wave(steps_of(iteration)):
            return started


def _check_open(iteration: Iteration) -> None:
    if iteration.paused_at is not None:
        raise ConflictError(f"{iteration} is paused: nothing new starts. Resume it first.")


def _start_wave(iteration: Iteration, by: User | None, seen: int | None) -> list[Run]:
    wave = next_wave(steps_of(iteration))
    if not wave:
        raise ConflictError(f"{iteration} is complete{_where_pairs_wait(iteration)}.")
    if wave[0].kind == StepKind.SEAL:
        return _seal(iteration, by, seen)
    if wave[0].kind == StepKind.SNAPSHOT:
        return _snapshot(iteration, by)
    with transaction.atomic():
        row = locked(iteration)
        check_seen(row, seen)
        _check_open(row)
        return start_runs(row, by)


def _where_pairs_wait(iteration: Iteration) -> str:
    return f": its policy's pairs wait in {iteration.next_batch}" if iteration.next_batch else ""


@transaction.atomic
def _seal(iteration: Iteration, by: User | None, seen: int | None) -> list[Run]:
    check_seen(locked(iteration), seen)
    batch = Batch.objects.get(pk=iteration.batch_id)
    if batch.state != BatchState.SEALED:
        batches.seal_batch(batch=batch, by=by)
    _finish_first(iteration, StepKind.SEAL, by)
    return []


def snapshot_batches(iteration: Iteration) -> list[Batch]:
    """Reward models train on everything sealed so far (section 3.2.2)."""
    sealed = Batch.objects.filter(state=BatchState.SEALED, number__lte=iteration.batch.number)
    return list(sealed.order_by("number"))


def _snapshot(iteration: Iteration, by: User | None) -> list[Run]:
    """Writes files, so that only its end is a transaction; the same weeks are written once."""
    snapshot = snapshots.create_snapshot(batches=snapshot_batches(iteration), by=by)
    with transaction.atomic():
        _finish_first(iteration, StepKind.SNAPSHOT, by, snapshot)
    return []


def _finish_first(
    iteration: Iteration, kind: StepKind, by: User | None, snapshot: Snapshot | None = None
) -> None:
    """The end of one of the two steps that are no runs; nothing where somebody else was first."""
    row = locked(iteration)
    written = snapshot is not None and Iteration.objects.filter(snapshot=snapshot).exists()
    if not finish(row, row.steps.get(kind=kind), reused=written):
        return
    turn_over(row)
    if snapshot is not None:
        row.snapshot = snapshot
        row.save(update_fields=["snapshot"])
    settle(row, by)


def start_runs(iteration: Iteration, by: User | None = None, *, retry: bool = True) -> list[Run]:
    """Start every step of the next wave, inside the transaction that holds the iteration's lock; without `retry` a run
    that ended without success stays as it is."""
    started = []
    changed = False
    wave = next_wave(steps_of(iteration))
    held = actual_runs(iteration, wave)
    for step in wave:
        run = held.get(step.pk)
        if run is None:
            run = begin(iteration, step, by)
            changed = True
        else:
            broken = run.state in RUN_ENDED and run.state != RunState.SUCCEEDED
            if broken and not retry:
                continue
            changed |= broken or step.run_id != run.pk
            run = _again(iteration, step, run, by)
        if run is not None:
            started.append(run)
    if changed:
        turn_over(iteration)
    if iteration.stuck:
        iteration.stuck = ""
        iteration.save(update_fields=["stuck"])
    settle(iteration, by)
    return started


def begin(iteration: Iteration, step: IterationStep, by: User | None) -> Run | None:
    """Start a step that has no run; None where its work is found done."""
    if step.kind == StepKind.SAMPLE:
        step.digest = digest_of_feed_back(iteration, step, fed_back_policies(iteration, step))
        if _take_over(iteration, step):
            return None
    with transaction.atomic():
        run = open_door(iteration, step, by)
        if step.kind != StepKind.SAMPLE:
            step.digest = digest_of_run(run)
            if twin_of(step, step.digest) is not None:
                transaction.set_rollback(True)
    if step.kind != StepKind.SAMPLE and _take_over(iteration, step):
        return None
    return _attach(iteration, step, run)


def _take_over(iteration: Iteration, step: IterationStep) -> bool:
    """Let a step that has done the same stand for this one."""
    twin = twin_of(step, step.digest)
    if twin is None:
        return False
    finish(iteration, step, run=twin.run, reused=True)
    if step.kind == StepKind.SAMPLE:
        iteration.next_batch = twin.iteration.next_batch
        iteration.save(update_fields=["next_batch"])
    return True


def _attach(iteration: Iteration, step: IterationStep, run: Run) -> Run | None:
    step.run, step.state = run, StepState.STARTED
    step.save(update_fields=["run", "state", "digest", "params"])
    if run.state == RunState.SUCCEEDED:
        finish(iteration, step, run=run)
        return None
    return run


def _again(iteration: Iteration, step: IterationStep, run: Run, by: User | None) -> Run | None:
    """Go on with a step that has a run: its own, or one that took its place with other parameters."""
    adopt(step, run)
    if run.state in RUN_ENDED and run.state != RunState.SUCCEEDED:
        run = runs.retry_run(run=run, by=by)
    return _attach(iteration, step, run)


def adopt(step: IterationStep, run: Run) -> None:
    """Give a step the parameters and the digest of the run that took its place."""
    if step.run_id == run.pk or step.kind == StepKind.SAMPLE:
        return
    step.params, step.digest = dict(run.params), digest_of_run(run)
    step.seed = run.seed if run.seed != step.iteration.seed else step.seed
    step.save(update_fields=["params", "digest", "seed"])


def note_success(run: Run) -> None:
    """Move the run's iteration on. Runs inside the transaction that ends the run."""
    if run.iteration is None or run.key is None:
        return
    iteration = locked(run.iteration)
    step = next((one for one in steps_of(iteration) if key_of(iteration, one) == run.key), None)
    if step is None or step.kind in FIRST:
        return
    adopt(step, run)
    if not finish(iteration, step, run=run):
        return
    turn_over(iteration)
    settle(iteration)
    if iteration.automatic and iteration.paused_at is None:
        go_on(iteration)


def go_on(iteration: Iteration) -> None:
    """Start what comes next by itself. What refuses to start is said on the iteration's page; it never harms the run
    whose end led here."""
    try:
        with transaction.atomic():
            at = None
            while (wave := next_wave(steps_of(iteration))) and wave[0].name != at:
                at = wave[0].name
                if start_runs(iteration, retry=False):
                    return
    except DomainError as error:
        log.warning("next step not started", iteration=str(iteration), why=error.message)
        Iteration.objects.filter(pk=iteration.pk).update(stuck=error.message)


NEXT: Final[Mapping[StepKind, str]] = MappingProxyType(
    {
        StepKind.SEAL: "Seal the batch",
        StepKind.SNAPSHOT: "Write the snapshot",
        StepKind.TRAIN_REWARD_MODEL: "Train both reward models",
        StepKind.REJECTION_SAMPLE: "Sample and select",
        StepKind.GATT: "Make dialogues with an instruction",
        StepKind.DISTILL: "Distill safer answers",
        StepKind.SELF_CHAT: "Let the policy write dialogues",
        StepKind.FINETUNE: "Fine-tune on the winners",
        StepKind.PPO: "Optimise by PPO",
        StepKind.SAMPLE: "Open the next week with the new policy",
    }
)


def next_action(iteration: Iteration) -> str:
    """The next sensible thing to do, as the words of a button; empty when the iteration is complete."""
    wave = next_wave(list(iteration.steps.all()))
    return NEXT[StepKind(wave[0].kind)] if wave else ""
