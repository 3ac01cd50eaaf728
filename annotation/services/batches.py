"""The week's life: plan, propose, open, seal; by hand, or by the clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo, available_timezones

import structlog
from django.db import IntegrityError, transaction
from django.db.models import Max
from django.utils import timezone

from annotation.core.attention import HIGHEST_RATE
from annotation.core.events import Event
from annotation.core.plan import Plan, PlanError
from annotation.core.states import BATCH_MOVES, BatchState
from annotation.errors import BatchSealedError, ConflictError, DomainError, IllegalMoveError, InvalidPlanError
from annotation.models import Batch, BatchEvent, Guideline, Lease, User
from annotation.queries import guidelines_used
from annotation.services.audit import record
from annotation.services.gold import stock_gold
from annotation.services.holdout import draw_holdout
from annotation.services.webhooks import announce

WEEK: Final = timedelta(days=7)
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What a batch is for its annotators, and when. May be changed until it is sealed."""

    turn_limit: int = 4
    daily_target: int = 0
    shows_agreement: bool = True
    time_zone: str = "UTC"
    opens_at: datetime | None = None
    seals_at: datetime | None = None
    target: int = 0
    person_quota: int = 0
    needs_certificate: bool = False
    gold_rate: float = 0.0
    gold_feedback: bool = False
    plan: dict[str, Any] = field(default_factory=dict)


def offer_of(batch: Batch) -> Offer:
    return Offer(**{field.name: getattr(batch, field.name) for field in fields(Offer)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """The next week as it might be planned."""

    name: str
    overlap: int
    holdout: int
    seed: int
    offer: Offer
    guidelines: list[Guideline]


def propose_batch(*, after: Batch | None) -> Proposal:
    """The week after `after`: the same again a week later, with prompts a step harder and dialogues longer (appendix
    A.3.2), under another seed."""
    name = f"Week {_next_number()}"
    if after is None:
        return Proposal(name=name, overlap=1, holdout=1000, seed=0, offer=Offer(), guidelines=[])
    offer = replace(
        offer_of(after),
        opens_at=_a_week_later(after.opens_at, after.time_zone),
        seals_at=_a_week_later(after.seals_at, after.time_zone),
        plan=Plan.from_json(after.plan).following().to_json() if after.plan else {},
    )
    return Proposal(
        name=name,
        overlap=after.overlap,
        holdout=after.holdout,
        seed=after.seed + 1,
        offer=offer,
        guidelines=list(after.guidelines.all()),
    )


def _a_week_later(moment: datetime | None, zone: str) -> datetime | None:
    """At the same time by the clock on the wall, which may be changed in between; never in the past."""
    if moment is None:
        return None
    local = moment.astimezone(ZoneInfo(zone)) + WEEK
    while local <= timezone.now():
        local += WEEK
    return local


def _next_number() -> int:
    return (Batch.objects.aggregate(last=Max("number"))["last"] or 0) + 1


@transaction.atomic
def create_batch(
    *,
    name: str = "",
    overlap: int = 1,
    holdout: int = 1000,
    seed: int = 0,
    offer: Offer = Offer(),
    guidelines: Sequence[Guideline] = (),
    by: User | None = None,
) -> Batch:
    """Plan the next week. Without a name it is called after its number.

    Raises:
        ConflictError: the name is taken.
        InvalidPlanError: something in `offer` cannot be; `errors` name the fields.
    """
    number = _next_number()
    name = name or f"Week {number}"
    if Batch.objects.filter(name=name).exists():
        raise ConflictError(f"There is a batch named {name!r} already. Choose another name.")
    _check_offer(offer, guidelines)
    row = Batch(name=name, number=number, overlap=overlap, holdout=holdout, seed=seed, **asdict(offer))
    batch = _insert(row)
    batch.guidelines.set(guidelines)
    BatchEvent.objects.create(batch=batch, state=batch.state, by=by)
    record("batch.planned", batch, by=by)
    return batch


def _insert(batch: Batch) -> Batch:
    """Store it, unless somebody took its number or its name since it was read."""
    try:
        with transaction.atomic():
            batch.save(force_insert=True)
    except IntegrityError:
        raise ConflictError("Somebody else planned a batch at this moment. Try again.") from None
    return batch


@transaction.atomic
def change_offer(
    *, batch: Batch, offer: Offer, guidelines: Sequence[Guideline] | None = None, by: User | None = None
) -> Batch:
    """Offer annotators something else from now on.

    Raises:
        BatchSealedError: it is sealed.
        InvalidPlanError: something in `offer` cannot be; `errors` name the fields.
    """
    before = offer_of(Batch.objects.select_for_update().get(pk=batch.pk))
    _check_offer(offer, guidelines or (), before=before)
    changed = Batch.objects.filter(pk=batch.pk).exclude(state=BatchState.SEALED).update(**asdict(offer))
    batch.refresh_from_db()
    if not changed:
        raise BatchSealedError(f"{batch.name} is sealed: nothing in it changes any more.")
    if guidelines is not None:
        batch.guidelines.set(guidelines)
    was = asdict(before)
    changes = {
        name: [str(was[name]), str(value)] for name, value in asdict(offer).items() if was[name] != value
    }
    record("batch.changed", batch, by=by, **changes)
    return batch


def _check_offer(offer: Offer, guidelines: Sequence[Guideline], before: Offer | None = None) -> None:
    wrong: dict[str, str] = {}
    try:
        Plan.from_json(offer.plan)
    except PlanError as error:
        wrong.update({complaint["field"]: complaint["reason"] for complaint in error.errors})
    if offer.time_zone not in available_timezones():
        wrong["time_zone"] = "There is no such time zone. An example: Europe/Berlin."
    if offer.opens_at and offer.seals_at and offer.seals_at <= offer.opens_at:
        wrong["seals_at"] = "It seals before it opens. Choose a later time."
    elif (
        offer.seals_at
        and offer.seals_at <= timezone.now()
        and (before is None or before.seals_at != offer.seals_at)
    ):
        wrong["seals_at"] = "That time is past. Choose a later one, or seal by hand."
    if not 0 <= offer.gold_rate <= HIGHEST_RATE:
        wrong["gold_rate"] = f"A share from 0 to {HIGHEST_RATE}."
    if len({guideline.focus for guideline in guidelines}) < len(guidelines):
        wrong["guidelines"] = "Choose one version for each focus at most."
    if wrong:
        errors: list[dict[str, object]] = [{"field": name, "reason": why} for name, why in wrong.items()]
        raise InvalidPlanError("The batch cannot be planned like this. Nothing was changed.", errors=errors)


@transaction.atomic
def open_batch(*, batch: Batch, by: User | None = None) -> Batch:
    """Let annotators have its comparisons."""
    batch = _move_batch(batch, BatchState.OPEN, by=by, opened_at=timezone.now())
    stock_gold(batch=batch)
    announce(Event.BATCH_OPENED, {"number": batch.number, "name": batch.name})
    return batch


@transaction.atomic
def seal_batch(*, batch: Batch, by: User | None = None) -> Batch:
    """Freeze the week: no judgment is taken any more, and its hold-out is drawn.

    The move comes first, so that a judgment on its way either lands before the seal or is refused: submitting
    locks the batch row too.
    """
    batch = _move_batch(batch, BatchState.SEALED, by=by, sealed_at=timezone.now())
    Lease.objects.filter(comparison__batch=batch, judged=False).delete()
    detail = {**draw_holdout(batch), "guidelines": guidelines_used(batch)}
    event = batch.events.latest("pk")
    event.detail = detail
    event.save(update_fields=["detail"])
    announce(Event.BATCH_SEALED, {"number": batch.number, "name": batch.name})
    return batch


def _move_batch(batch: Batch, to: BatchState, *, by: User | None, **columns: Any) -> Batch:
    """Compare-and-set: of two people who press the button, one gets an error and nothing happens twice."""
    sources = [state for state, targets in BATCH_MOVES.items() if to in targets]
    moved = Batch.objects.filter(pk=batch.pk, state__in=sources).update(state=to, **columns)
    batch.refresh_from_db()
    if not moved:
        raise IllegalMoveError(f"{batch.name} is {batch.state} and cannot become {to}.")
    BatchEvent.objects.create(batch=batch, state=to, by=by)
    record(f"batch.{to}", batch, by=by)
    return batch


def tend_batches() -> list[Batch]:
    """Open and seal what is due; returns what moved. One that cannot be moved keeps no other from its time."""
    now = timezone.now()
    due = (
        (Batch.objects.filter(state=BatchState.OPEN, seals_at__lte=now), seal_batch),
        (Batch.objects.filter(state=BatchState.PLANNED, opens_at__lte=now), open_batch),
    )
    moved = []
    for rows, move in due:
        for batch in rows.order_by("number"):
            try:
                moved.append(move(batch=batch))
            except DomainError as error:
                # Somebody pressed the button meanwhile, or it will be tried again a moment later.
                log.warning("batch.not_moved", batch=batch.name, reason=error.message)
    return moved
