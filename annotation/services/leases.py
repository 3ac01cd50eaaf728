"""Who gets what next. The hot path: few queries, no generic machinery."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from annotation.core.grades import Focus
from annotation.models import Comparison, Lease, User

ATTEMPTS = 8
PREFETCH = 3


def lease_next(
    *, annotator: User, count: int = 1, skip: Iterable[str] = (), focuses: Sequence[Focus] = tuple(Focus)
) -> list[Comparison]:
    """Up to `count` comparisons for this person, those already held first.

    Asking again returns the same pairs, so a reload or a second tab takes nothing away from others. `skip`
    names keys that the client still has in its outbox.
    """
    now = timezone.now()
    skipped = set(skip)
    held = _held(annotator, now)
    chosen = [c for c in held if c.key not in skipped and c.focus in focuses][:count]
    # What is in the outbox is still held, so a client with a full outbox cannot lease without bound.
    room = min(count - len(chosen), 2 * PREFETCH + len(skipped) - len(held))
    while room > 0 and (taken := _take(annotator, focuses, now)) is not None:
        chosen.append(taken)
        room -= 1
    return chosen


def _held(annotator: User, now: datetime) -> list[Comparison]:
    rows = (
        Comparison.objects.waiting()
        .filter(leases__annotator=annotator, leases__judged=False, leases__expires_at__gt=now)
        .select_related("batch", "dialogue", "response_a", "response_b")
        .order_by("leases__created_at", "pk")
    )
    return list(rows)


def _take(annotator: User, focuses: Sequence[Focus], now: datetime) -> Comparison | None:
    """Lease one free slot; when somebody else is quicker, try the next candidate."""
    for _ in range(ATTEMPTS):
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
    rows = (
        Comparison.objects.waiting()
        .filter(focus__in=list(focuses))
        .never_held_by(annotator.pk)
        .with_free_slot(now)
        .select_related("batch", "dialogue", "response_a", "response_b")
        .order_by("batch__number", "pk")
    )
    if connection.features.has_select_for_update_skip_locked:
        rows = rows.select_for_update(skip_locked=True, of=("self",))
    return rows.first()


def _occupy(comparison: Comparison, annotator: User, now: datetime) -> None:
    """Take the lowest free slot: a new row, or one whose holder let it expire."""
    Lease.objects.filter(comparison=comparison, judged=False, expires_at__lte=now).delete()
    used = set(Lease.objects.filter(comparison=comparison).values_list("slot", flat=True))
    slot = next((s for s in range(comparison.batch.overlap) if s not in used), None)
    if slot is None:
        raise IntegrityError("all slots were taken in the meantime")
    expires = now + timedelta(seconds=settings.LEASE_SECONDS)
    Lease.objects.create(comparison=comparison, annotator=annotator, slot=slot, expires_at=expires)
