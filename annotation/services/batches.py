"""The week's life: plan, open, seal."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, fields
from typing import Any

from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from annotation.core import holdout
from annotation.core.grades import Focus
from annotation.core.states import BATCH_MOVES, BatchState
from annotation.errors import BatchSealedError, ConflictError, IllegalMoveError
from annotation.models import Batch, BatchEvent, Comparison, Judgment, Lease, Prompt, User


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What a batch offers its annotators; may be changed until it is sealed."""

    turn_limit: int = 4
    daily_target: int = 0
    shows_agreement: bool = True


def offer_of(batch: Batch) -> Offer:
    return Offer(**{field.name: getattr(batch, field.name) for field in fields(Offer)})


@transaction.atomic
def create_batch(
    *,
    name: str = "",
    overlap: int = 1,
    holdout: int = 1000,
    seed: int = 0,
    offer: Offer = Offer(),
    by: User | None = None,
) -> Batch:
    """Plan the next week. Without a name it is called after its number."""
    number = (Batch.objects.aggregate(last=Max("number"))["last"] or 0) + 1
    name = name or f"Week {number}"
    if Batch.objects.filter(name=name).exists():
        raise ConflictError(f"There is a batch named {name!r} already. Choose another name.")
    batch = Batch.objects.create(
        name=name, number=number, overlap=overlap, holdout=holdout, seed=seed, **asdict(offer)
    )
    BatchEvent.objects.create(batch=batch, state=batch.state, by=by)
    return batch


@transaction.atomic
def change_offer(*, batch: Batch, offer: Offer) -> Batch:
    """Offer annotators something else from now on.

    Raises:
        BatchSealedError: it is sealed.
    """
    changed = Batch.objects.filter(pk=batch.pk).exclude(state=BatchState.SEALED).update(**asdict(offer))
    batch.refresh_from_db()
    if not changed:
        raise BatchSealedError(f"{batch.name} is sealed: nothing in it changes any more.")
    return batch


@transaction.atomic
def open_batch(*, batch: Batch, by: User | None = None) -> Batch:
    """Let annotators have its comparisons."""
    return _move_batch(batch, BatchState.OPEN, by=by, opened_at=timezone.now())


@transaction.atomic
def seal_batch(*, batch: Batch, by: User | None = None) -> Batch:
    """Freeze the week: no judgment is taken any more, and its hold-out is drawn.

    The move comes first, so that a judgment on its way either lands before the seal or is refused: submitting
    locks the batch row too.
    """
    batch = _move_batch(batch, BatchState.SEALED, by=by, sealed_at=timezone.now())
    Lease.objects.filter(comparison__batch=batch, judged=False).delete()
    detail = _draw_holdout(batch)
    event = batch.events.latest("pk")
    event.detail = detail
    event.save(update_fields=["detail"])
    return batch


def _move_batch(batch: Batch, to: BatchState, *, by: User | None, **columns: Any) -> Batch:
    """Compare-and-set: of two people who press the button, one gets an error and nothing happens twice."""
    sources = [state for state, targets in BATCH_MOVES.items() if to in targets]
    moved = Batch.objects.filter(pk=batch.pk, state__in=sources).update(state=to, **columns)
    batch.refresh_from_db()
    if not moved:
        raise IllegalMoveError(f"{batch.name} is {batch.state} and cannot become {to}.")
    BatchEvent.objects.create(batch=batch, state=to, by=by)
    return batch


def _draw_holdout(batch: Batch) -> dict[str, int]:
    """Draw whole prompts for testing, of each focus its share, so that both reward models can be tested.

    A prompt drawn in an earlier week keeps its side.
    """
    judged = Judgment.objects.effective().filter(comparison__batch=batch).values("comparison")
    rows = list(
        Comparison.objects.filter(pk__in=judged).values_list(
            "dialogue__prompt__focus", "dialogue__prompt__key", "dialogue__prompt__split"
        )
    )
    wanted = holdout.target_size(len(rows), batch.holdout)
    held_out = 0
    for focus in Focus:
        sizes = Counter(key for f, key, split in rows if f == focus and not split)
        already = sum(1 for f, _, split in rows if f == focus and split == Prompt.Split.TEST)
        share = round(wanted * sum(1 for f, _, _ in rows if f == focus) / max(1, len(rows)))
        test = holdout.draw(sizes, seed=batch.seed, target=max(0, share - already))
        _set_split(set(sizes) & test, Prompt.Split.TEST)
        _set_split(set(sizes) - test, Prompt.Split.TRAIN)
        held_out += already + sum(sizes[key] for key in test)
    return {"examples": len(rows), "held_out": held_out}


def _set_split(keys: set[str], split: Prompt.Split) -> None:
    ordered = sorted(keys)
    for start in range(0, len(ordered), 500):
        Prompt.objects.filter(key__in=ordered[start : start + 500]).update(split=split)
