"""Who gets what next. The hot path: few queries, no generic machinery."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from annotation.core.grades import Focus
from annotation.core.states import BatchState, ComparisonState
from annotation.errors import LeaseLostError
from annotation.models import Batch, Comparison, Lease, User

ATTEMPTS = 8
MOST_HELD = 24  # pairs in one person's hands; the page takes so many along only where many wait
MOST_UNSENT = 24  # as many more may wait in the page's outbox


def lease_next(*, annotator: User, count: int = 1, skip: Iterable[str] = ()) -> list[Comparison]:
    """Up to `count` comparisons for this person, those already held first.

    Asking again returns the same pairs, so a reload or a second tab takes nothing away from others. `skip`
    names keys that the client still has in its outbox.
    """
    now = timezone.now()
    focuses = annotator.focuses
    held = _held(annotator, now)
    unsent = set(skip) & {c.key for c in held}
    chosen = [c for c in held if c.key not in unsent and c.focus in focuses][:count]
    # What is in the outbox counts as held, or else a made-up outbox would lease without bound.
    room = min(count - len(chosen), MOST_HELD + min(len(unsent), MOST_UNSENT) - len(held))
    while room > 0 and (taken := _take(annotator, focuses, now)) is not None:
        chosen.append(taken)
        room -= 1
    return chosen


@transaction.atomic
def lease_again(*, comparison: Comparison, annotator: User) -> None:
    """Give a pair back to somebody who let it go; `comparison` is locked.

    Raises:
        LeaseLostError: all its slots went to others meanwhile.
    """
    if Lease.objects.filter(comparison=comparison, annotator=annotator).exists():
        return
    try:
        with transaction.atomic():
            _occupy(comparison, annotator, timezone.now())
    except IntegrityError:
        raise LeaseLostError(
            _("This pair went to somebody else meanwhile. It cannot come back to you.")
        ) from None


@transaction.atomic
def give_back(*, annotator: User, focus: Focus) -> int:
    """Let go of this person's unjudged pairs of a focus; returns how many."""
    return Lease.objects.filter(annotator=annotator, judged=False, comparison__focus=focus).delete()[0]


def _held(annotator: User, now: datetime) -> list[Comparison]:
    """This person's pairs, oldest lease first. A lease that expired while nobody else wanted it is renewed."""
    leases = list(
        Lease.objects.filter(annotator=annotator, judged=False)
        .filter(comparison__state=ComparisonState.OPEN, comparison__batch__state=BatchState.OPEN)
        .select_related("comparison__batch", "comparison__dialogue")
        .select_related("comparison__response_a", "comparison__response_b")
        .order_by("created_at", "pk")
    )
    return [lease.comparison for lease in leases if lease.expires_at > now or _renew(lease, now)]


def _renew(lease: Lease, now: datetime) -> bool:
    """Extend an expired lease, unless its slot went to somebody else meanwhile."""
    same = Lease.objects.filter(pk=lease.pk, annotator_id=lease.annotator_id, judged=False)
    return bool(same.update(expires_at=expiry(now)))


def expiry(now: datetime) -> datetime:
    """When a pair given at `now` may go to somebody else."""
    return now + timedelta(seconds=settings.LEASE_SECONDS)


def _take(annotator: User, focuses: Sequence[Focus], now: datetime) -> Comparison | None:
    """Lease one free slot; when somebody else is quicker, try the next candidate."""
    for _attempt in range(ATTEMPTS):
        try:
            with transaction.atomic():
                comparison = _candidate(annotator, focuses, now)
                if comparison is None:
                    return None
                _occupy(comparison, annotator, now)
                return comparison
        except IntegrityError:
            continue
    return None


def _candidate(annotator: User, focuses: Sequence[Focus], now: datetime) -> Comparison | None:
    """The oldest pair of the oldest open week that has a slot for this person.

    Week by week, so that the index on (batch, state, id) yields rows in order and the first hit ends the search.
    """
    for batch in Batch.objects.filter(state=BatchState.OPEN).order_by("number"):
        rows = (
            Comparison.objects.filter(batch=batch, state=ComparisonState.OPEN, focus__in=list(focuses))
            .never_held_by(annotator.pk)
            .with_free_slot(now, overlap=batch.overlap)
            .select_related("batch", "dialogue", "response_a", "response_b")
            .order_by("pk")
        )
        if connection.features.has_select_for_update_skip_locked:
            rows = rows.select_for_update(skip_locked=True, of=("self",))
        if (found := rows.first()) is not None:
            return found
    return None


def _occupy(comparison: Comparison, annotator: User, now: datetime) -> None:
    """Take the lowest free slot: a new row, or one whose holder let it expire."""
    Lease.objects.filter(comparison=comparison, judged=False, expires_at__lte=now).delete()
    used = set(Lease.objects.filter(comparison=comparison).values_list("slot", flat=True))
    slot = next((s for s in range(comparison.batch.overlap) if s not in used), None)
    if slot is None:
        raise IntegrityError("all slots were taken in the meantime")
    Lease.objects.create(comparison=comparison, annotator=annotator, slot=slot, expires_at=expiry(now))
