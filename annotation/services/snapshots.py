"""Asking for snapshots: of a recipe, in further formats, again, or without some of their rows.

What is asked for is a row, and a worker writes it (annotation.services.snapshot_writing). The broker is told once the
transaction is in; should it forget, the sweep tells it again.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from typing import Final

import structlog
from celery import current_app
from django.conf import settings
from django.db import IntegrityError, transaction

from annotation.core.aggregate import AggregationRule
from annotation.core.events import Event
from annotation.core.grades import MarginTable
from annotation.core.recipe import Recipe
from annotation.core.states import BatchState, SnapshotState
from annotation.errors import ConflictError, InvalidRecipeError, WithdrawnError
from annotation.models import Batch, Prompt, Snapshot, User
from annotation.services.audit import record
from annotation.services.snapshot_formats import check_formats, write_formats
from annotation.services.snapshot_writing import release_silent, told_of, write_snapshot
from annotation.services.webhooks import announce
from annotation.snapshots import forgotten, withdrawn_words

__all__ = [
    "add_formats",
    "create_snapshot",
    "request_snapshot",
    "retry_snapshot",
    "sweep_snapshots",
    "tend_snapshot",
    "withdraw_rows",
    "write_snapshot",
]

log = structlog.get_logger(__name__)

STANDING: Final = (SnapshotState.WAITING, SnapshotState.WRITING, SnapshotState.READY)
UNWRITTEN: Final = (SnapshotState.WAITING, SnapshotState.WRITING)


def request_snapshot(
    *, recipe: Recipe, name: str = "", formats: Collection[str] = (), by: User | None = None
) -> Snapshot:
    """A snapshot that will be written, or the one there is: the same recipe is written once.

    Raises:
        InvalidRecipeError: a week, person, prompt or format that is not there; `errors` names the fields.
        ConflictError: a week is not sealed, none is, or the name belongs to something else.
        WithdrawnError: what is asked for was withdrawn.
    """
    batches = _sealed(recipe)
    resolved = recipe.resolved(batch.number for batch in batches)
    check_people_and_prompts(resolved.without_annotators, resolved.without_prompts)
    wanted = check_formats(formats)
    with transaction.atomic():
        known = _known(resolved)
        if known is None:
            known = _add(resolved, batches, name or _free_name(batches, resolved), wanted, by)
        elif set(wanted) - set(known.formats):
            _want(known, wanted, by)
    return known


def create_snapshot(
    *,
    batches: Sequence[Batch],
    name: str = "",
    margin_table: MarginTable = MarginTable.SMALL,
    aggregation: AggregationRule = AggregationRule.MAJORITY,
    by: User | None = None,
) -> Snapshot:
    """Ask for a snapshot of sealed weeks and write it here and now; where another process writes it, wait.

    Raises:
        ConflictError: a week is not sealed, the name belongs to something else, or it could not be written.
    """
    numbers = tuple(batch.number for batch in batches)
    recipe = Recipe(batches=numbers, margin_table=margin_table, aggregation=aggregation)
    snapshot = request_snapshot(recipe=recipe, name=name, by=by)
    while snapshot.state in UNWRITTEN:
        snapshot = write_snapshot(snapshot=snapshot)
        if snapshot.state in UNWRITTEN:
            time.sleep(0.2)
            release_silent()
    if snapshot.state == SnapshotState.FAILED:
        raise ConflictError(snapshot.error)
    return snapshot


def add_formats(*, snapshot: Snapshot, formats: Collection[str], by: User | None) -> Snapshot:
    """Ask for further formats of the same rows; those that are there, or asked for already, stay as they are.

    Raises:
        InvalidRecipeError: no such format.
        ConflictError, WithdrawnError: the snapshot failed, or was withdrawn.
    """
    wanted = check_formats(formats)
    with transaction.atomic():
        row = Snapshot.objects.select_for_update().get(pk=snapshot.pk)
        if row.state == SnapshotState.WITHDRAWN:
            raise WithdrawnError(withdrawn_words(row))
        if row.state == SnapshotState.FAILED:
            raise ConflictError(f"{row} could not be written: {row.error}")
        if set(wanted) - set(row.formats):
            _want(row, wanted, by)
    return row


def retry_snapshot(*, snapshot: Snapshot, by: User | None) -> Snapshot:
    """Write a snapshot that failed again.

    Raises:
        ConflictError: it did not fail.
    """
    with transaction.atomic():
        failed = Snapshot.objects.filter(pk=snapshot.pk, state=SnapshotState.FAILED)
        if not failed.update(state=SnapshotState.WAITING, attempt=0, error=""):
            raise ConflictError(f"{snapshot} did not fail: there is nothing to try again.")
        snapshot.refresh_from_db()
        record("snapshot.retried", snapshot, by=by)
        _announce_on_commit(snapshot)
    return snapshot


def withdraw_rows(
    *,
    snapshot: Snapshot,
    annotators: Collection[str] = (),
    prompts: Collection[str] = (),
    reason: str,
    by: User | None,
) -> Snapshot:
    """A new version without what these people (by pseudonym) said and without these prompts (by key).

    From this moment the old version's files are not given out any more; the new one is written by a worker.

    Raises:
        InvalidRecipeError: nobody and nothing is named, or no reason, or a person or prompt that is not there.
        ConflictError: the snapshot is not ready, or holds nothing of them by its recipe.
        WithdrawnError: it was withdrawn already.
    """
    if not reason.strip():
        raise _wrong("reason", "Say why: the new version and its card carry it.")
    if not annotators and not prompts:
        raise _wrong("annotators", "Name whose judgments or which prompts are to go.")
    check_people_and_prompts(annotators, prompts)
    with transaction.atomic():
        old = Snapshot.objects.select_for_update().get(pk=snapshot.pk)
        if old.state == SnapshotState.WITHDRAWN:
            raise WithdrawnError(withdrawn_words(old))
        if old.state != SnapshotState.READY:
            raise ConflictError(f"{old} is {old.state}. Rows can be withdrawn once it is ready.")
        return _replace(old, annotators, prompts, " ".join(reason.split()), by)


def _replace(
    old: Snapshot, annotators: Collection[str], prompts: Collection[str], reason: str, by: User | None
) -> Snapshot:
    batches = list(old.batches.all())
    # One written before recipes were kept.
    before = Recipe.model_validate(
        old.recipe or {"margin_table": old.margin_table, "aggregation": old.aggregation}
    ).resolved(batch.number for batch in batches)
    recipe = before.without(annotators=annotators, prompts=prompts)
    if recipe == before:
        raise ConflictError(f"{old} leaves all of them out already. Nothing was changed.")
    Snapshot.objects.filter(pk=old.pk, state=SnapshotState.READY).update(state=SnapshotState.WITHDRAWN)
    new = _add(recipe, batches, old.name, old.formats, by, parent=old, reason=reason)
    record("snapshot.withdrawn", old, by=by, reason=reason, version=new.version)
    announce(Event.SNAPSHOT_WITHDRAWN, {**told_of(old), "replaced_by": new.pk})
    return new


def tend_snapshot(*, pk: int) -> None:
    """Do what waits for a snapshot: its writing, its further formats. What another process does is left to it."""
    snapshot = Snapshot.objects.filter(pk=pk).first()
    if snapshot is not None and snapshot.state == SnapshotState.WAITING:
        snapshot = write_snapshot(snapshot=snapshot)
    if snapshot is not None and snapshot.state == SnapshotState.READY:
        write_formats(snapshot=snapshot)


def sweep_snapshots() -> dict[str, int]:
    """Find rows whose writers fell silent and messages that were lost; put both right."""
    found = {"silent": release_silent(), "announced": 0}
    for pk in forgotten():
        _announce(pk)
        found["announced"] += 1
    return found


def check_people_and_prompts(annotators: Collection[str], prompts: Collection[str]) -> None:
    """
    Raises:
        InvalidRecipeError: one that is not there.
    """
    found: tuple[tuple[str, Collection[str], set[str]], ...] = (
        ("annotators", annotators, _present(User, "pseudonym", annotators)),
        ("prompts", prompts, _present(Prompt, "key", prompts)),
    )
    errors: list[dict[str, object]] = [
        {"field": field, "reason": f"There is no {word!r}."}
        for field, asked, there in found
        for word in sorted(set(asked) - there)
    ]
    if errors:
        listed = ", ".join(str(error["reason"]) for error in errors[:5])
        raise InvalidRecipeError(f"Nothing was written. {listed}", errors=errors)


def _present(model: type[User | Prompt], column: str, words: Collection[str]) -> set[str]:
    if not words:
        return set()
    return set(model._default_manager.filter(**{f"{column}__in": words}).values_list(column, flat=True))


def _sealed(recipe: Recipe) -> list[Batch]:
    """The weeks of a recipe, in order."""
    rows = Batch.objects.order_by("number")
    if recipe.batches:
        found = list(rows.filter(number__in=recipe.batches))
        if missing := sorted(set(recipe.batches) - {batch.number for batch in found}):
            raise _wrong("batches", f"There is no week {', '.join(map(str, missing))}.")
        if unsealed := [batch.name for batch in found if batch.state != BatchState.SEALED]:
            raise ConflictError(
                f"Seal {', '.join(unsealed)} first: a snapshot holds only what no longer changes."
            )
        return found
    sealed = rows.filter(state=BatchState.SEALED)
    if recipe.up_to is not None:
        sealed = sealed.filter(number__lte=recipe.up_to)
    if not (found := list(sealed)):
        raise ConflictError("No such week is sealed yet: a snapshot holds only what no longer changes.")
    return found


def _known(recipe: Recipe) -> Snapshot | None:
    """The snapshot of the same recipe. Categories of prompts are set by people at any time, so a recipe that asks for
    some may give other rows the next time."""
    rows = Snapshot.objects.filter(recipe=recipe.to_json(), parent=None)
    if recipe.categories:
        rows = rows.filter(state__in=UNWRITTEN)
    if (known := rows.filter(state__in=STANDING).order_by("pk").first()) is not None:
        return known
    withdrawn = rows.filter(state=SnapshotState.WITHDRAWN).first()
    if withdrawn is not None:
        raise WithdrawnError(withdrawn_words(withdrawn))
    return None


def _add(
    recipe: Recipe,
    batches: Sequence[Batch],
    name: str,
    formats: Sequence[str],
    by: User | None,
    parent: Snapshot | None = None,
    reason: str = "",
) -> Snapshot:
    try:
        with transaction.atomic():
            snapshot = Snapshot.objects.create(
                name=name,
                version=1 if parent is None else parent.version + 1,
                parent=parent,
                reason=reason,
                recipe=recipe.to_json(),
                margin_table=recipe.margin_table,
                aggregation=recipe.aggregation,
                formats=list(formats),
                by=by,
            )
    except IntegrityError:
        raise ConflictError(f"Another snapshot is named {name!r}. Choose another name.") from None
    snapshot.batches.set(batches)
    record("snapshot.asked", snapshot, by=by, recipe=recipe.to_json())
    _announce_on_commit(snapshot)
    return snapshot


def _want(snapshot: Snapshot, formats: Sequence[str], by: User | None) -> None:
    snapshot.formats = sorted({*snapshot.formats, *formats})
    Snapshot.objects.filter(pk=snapshot.pk).update(formats=snapshot.formats, error="")
    record("snapshot.formats_asked", snapshot, by=by, formats=list(formats))
    _announce_on_commit(snapshot)


def _free_name(batches: Sequence[Batch], recipe: Recipe) -> str:
    """By its last week and its margins, with a number behind it where that is taken."""
    base = f"{batches[-1].name[:60]} {recipe.margin_table}"
    taken = set(Snapshot.objects.filter(name__startswith=base).values_list("name", flat=True))
    return next(
        name for n in range(1, len(taken) + 2) if (name := base if n == 1 else f"{base} {n}") not in taken
    )


def _announce_on_commit(snapshot: Snapshot) -> None:
    pk = snapshot.pk
    transaction.on_commit(lambda: _announce(pk))


def _announce(pk: int) -> None:
    """Tell workers that a snapshot waits. A broker that cannot be reached is logged; the sweep announces again."""
    try:
        name = "annotation.tasks.write_snapshot"
        current_app.send_task(name, args=[pk], retry=False, expires=2 * settings.SNAPSHOT_SILENCE)
    except Exception:
        log.warning("snapshot not announced", snapshot=pk, exc_info=True)


def _wrong(field: str, reason: str) -> InvalidRecipeError:
    return InvalidRecipeError(f"Nothing was written. {reason}", errors=[{"field": field, "reason": reason}])
