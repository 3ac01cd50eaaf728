"""The life of a run's row: queue, claim, beat, end, cancel, retry, sweep.

Every move is a compare-and-set on (primary key, state, claim) with its event in the same transaction, so of
two that want the same run one wins and the other learns of it. Steps of a run:

1. `queue_run` writes the row and announces it to the broker once the transaction is in.
2. A worker's launcher claims it. A message that comes twice claims nothing the second time.
3. While its process works the launcher beats. Whoever is silent too long loses the run to the queue.
4. `end_run` moves it to its end, together with whatever the run made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import uuid4

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from pydantic import ValidationError

from annotation.core import events
from annotation.errors import IllegalMoveError
from annotation.models import User
from annotation.services import webhooks
from annotation.services.audit import record
from training.core.events import Event
from training.core.spec import SPECS, RunKind
from training.core.states import RUN_MOVES, RunState
from training.dispatch import announce
from training.errors import ClaimLostError, InvalidSpecError
from training.models import Iteration, Run, RunEvent
from training.services.stream import columns_of, rows_of

CLAIMED = (RunState.RUNNING, RunState.CANCELLING)


def check_params(kind: RunKind, params: Mapping[str, Any]) -> dict[str, Any]:
    """The full parameters with defaults filled in.

    Raises:
        InvalidSpecError: lists every field that is wrong.
    """
    try:
        return SPECS[kind].model_validate(dict(params)).model_dump(mode="json")
    except ValidationError as error:
        problems: list[dict[str, object]] = [
            {"field": ".".join(str(part) for part in e["loc"]), "reason": e["msg"]} for e in error.errors()
        ]
        listed = "; ".join(f"{p['field']}: {p['reason']}" for p in problems)
        raise InvalidSpecError(f"The run was not started. {listed}", errors=problems) from error


@transaction.atomic
def queue_run(
    *,
    kind: RunKind,
    params: Mapping[str, Any],
    inputs: Mapping[str, Any],
    seed: int = 0,
    key: str | None = None,
    iteration: Iteration | None = None,
    by: User | None = None,
) -> Run:
    """Write a run into the queue. With a `key`, the run that already has it is returned instead."""
    checked = check_params(kind, params)
    values = {
        "kind": kind,
        "params": checked,
        "inputs": dict(inputs),
        "seed": seed,
        "iteration": iteration,
        "created_by": by,
    }
    if key is None:
        run, created = Run.objects.create(**values), True
    else:
        run, created = Run.objects.get_or_create(key=key, defaults=values)
    if created:
        _record(run, RunState.QUEUED)
        record("run.queued", run, by=by, kind=kind)
        _announce_on_commit(run)
    return run


def claim_run(*, pk: int) -> Run | None:
    """Take a queued run for this launcher; None where there is nothing to take."""
    now = timezone.now()
    claim = uuid4()
    with transaction.atomic():
        run = Run.objects.filter(pk=pk).first()
        if run is None:
            return None
        moved = Run.objects.filter(pk=pk, state=RunState.QUEUED, attempt=run.attempt).update(
            state=RunState.RUNNING,
            claim=claim,
            attempt=run.attempt + 1,
            heartbeat_at=now,
            started_at=run.started_at or now,
            ended_at=None,
            message="",
        )
        if not moved:
            return None
        run.refresh_from_db()
        _record(run, RunState.RUNNING, attempt=run.attempt)
        return run


@transaction.atomic
def beat_run(*, run: Run, events: Sequence[Event], events_read: int) -> RunState:
    """Say that the launcher lives, and store what the process said since the last beat.

    Raises:
        ClaimLostError: the run was given to somebody else; stop the process.
    """
    beat = {"heartbeat_at": timezone.now(), "events_read": events_read}
    if not Run.objects.filter(pk=run.pk, claim=run.claim).update(**beat, **columns_of(events)):
        raise ClaimLostError(f"{run} is held by another launcher.")
    RunEvent.objects.bulk_create(rows_of(run, events))
    run.refresh_from_db()
    return RunState(run.state)


def end_run(
    *,
    run: Run,
    state: RunState,
    message: str = "",
    result: Mapping[str, Any] | None = None,
    register: Callable[[], None] | None = None,
) -> Run:
    """End a claimed run; `register` stores what it made in the same transaction, so both happen or neither.

    A run that is being cancelled but succeeded all the same is kept as succeeded: the work is done.

    Raises:
        ClaimLostError: the run was given to somebody else; nothing was stored.
    """
    sources = [frm for frm, targets in RUN_MOVES.items() if state in targets]
    with transaction.atomic():
        moved = Run.objects.filter(pk=run.pk, claim=run.claim, state__in=sources).update(
            state=state, message=message, result=dict(result or {}), ended_at=timezone.now(), claim=None
        )
        if not moved:
            raise ClaimLostError(f"{run} is held by another launcher.")
        _record(run, state, message=message)
        _tell_end(run, state)
        if register is not None:
            register()
    # Not before: where `register` raised, the caller still holds the claim and can end the run otherwise.
    run.refresh_from_db()
    return run


@transaction.atomic
def release_run(*, run: Run, reason: str, lost: bool = True) -> Run:
    """Give a run back to the queue, or give up after too many losses.

    `lost` is false where the process was stopped on purpose, as when a worker is deployed anew: a long run
    outlives any number of deployments.

    Raises:
        ClaimLostError: somebody else holds the run, or its launcher was heard of after `run` was read.
    """
    held = (
        Run.objects.select_for_update()
        .filter(pk=run.pk, claim=run.claim, heartbeat_at=run.heartbeat_at, state__in=CLAIMED)
        .first()
    )
    if held is None:
        raise ClaimLostError(f"{run} is held by another launcher.")
    if held.state == RunState.CANCELLING:
        return end_run(run=run, state=RunState.CANCELLED, message="Cancelled.")
    if lost and held.attempt >= settings.RUN_ATTEMPTS:
        message = f"Lost {held.attempt} times and given up; the last time: {reason}"
        return end_run(run=run, state=RunState.ERRORED, message=message)
    Run.objects.filter(pk=run.pk).update(
        state=RunState.QUEUED,
        claim=None,
        message=reason,
        announced_at=timezone.now(),
        attempt=held.attempt if lost else held.attempt - 1,
    )
    run.refresh_from_db()
    _record(run, RunState.QUEUED, message=reason)
    _announce_on_commit(run)
    return run


@transaction.atomic
def cancel_run(*, run: Run, by: User | None = None) -> Run:
    """Ask a run to stop. A queued one is cancelled at once; a running one when its process has ended."""
    who = by.pk if by else None
    if Run.objects.filter(pk=run.pk, state=RunState.QUEUED).update(
        state=RunState.CANCELLED, ended_at=timezone.now(), message="Cancelled before it started."
    ):
        run.refresh_from_db()
        _record(run, RunState.CANCELLED, by=who)
        _tell_end(run, RunState.CANCELLED)
    elif Run.objects.filter(pk=run.pk, state=RunState.RUNNING).update(state=RunState.CANCELLING):
        run.refresh_from_db()
        _record(run, RunState.CANCELLING, by=who)
    else:
        run.refresh_from_db()
        if run.state != RunState.CANCELLING:
            raise IllegalMoveError(f"Run {run.pk} is {run.state}: there is nothing to cancel.")
        return run
    record("run.cancelled", run, by=by)
    return run


@transaction.atomic
def retry_run(*, run: Run, by: User | None = None) -> Run:
    """Queue an ended run again. It goes on from its last checkpoint."""
    retryable = (RunState.FAILED, RunState.ERRORED, RunState.CANCELLED)
    moved = Run.objects.filter(pk=run.pk, state__in=retryable).update(
        state=RunState.QUEUED,
        attempt=0,
        message="",
        started_at=None,
        ended_at=None,
        announced_at=timezone.now(),
    )
    run.refresh_from_db()
    if not moved:
        raise IllegalMoveError(
            f"Run {run.pk} is {run.state}: only a run that ended without success can be retried."
        )
    _record(run, RunState.QUEUED, by=by.pk if by else None)
    record("run.retried", run, by=by)
    _announce_on_commit(run)
    return run


def sweep_runs() -> dict[str, int]:
    """Find runs whose launcher fell silent and messages that were lost; put both right."""
    found = {"silent": 0, "announced": 0}
    for run in Run.objects.silent():
        try:
            release_run(run=run, reason="The worker that ran it stopped without a word.")
            found["silent"] += 1
        except ClaimLostError:
            continue
    for run in Run.objects.forgotten():
        if Run.objects.filter(pk=run.pk, state=RunState.QUEUED).update(announced_at=timezone.now()):
            announce(run.pk)
            found["announced"] += 1
    return found


def _record(run: Run, state: RunState, **data: Any) -> None:
    RunEvent.objects.create(run=run, type="state", data={"state": state, **data})


def _tell_end(run: Run, state: RunState) -> None:
    event = events.Event.RUN_FINISHED if state == RunState.SUCCEEDED else events.Event.RUN_FAILED
    webhooks.announce(event, {"uid": str(run.uid), "kind": run.kind, "state": state})


def _announce_on_commit(run: Run) -> None:
    pk = run.pk
    transaction.on_commit(lambda: announce(pk))
