"""Who holds what. The hot path: few queries, no generic machinery.

A comparison's `free` counts its slots that no lease holds: leases that are not `released`, and `free`, add up to the
overlap. Whoever changes either holds the comparison's row lock.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, Final

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F, Max
from django.utils import timezone
from django.utils.translation import gettext as _

from annotation.core.allocation import front
from annotation.core.grades import Focus
from annotation.core.states import BatchState, ComparisonState
from annotation.errors import LeaseLostError
from annotation.models import Comparison, Lease, User

RELEASED_AT_ONCE: Final = 100


def expiry(now: datetime) -> datetime:
    """When a pair given at `now` may go to somebody else."""
    return now + timedelta(seconds=settings.LEASE_SECONDS)


def held_by(annotator: User, now: datetime) -> list[Comparison]:
    """This person's pairs, oldest lease first. A lease that expired while nobody else wanted it is renewed."""
    leases = (
        Lease.objects.filter(annotator=annotator, judged=False)
        .filter(comparison__state=ComparisonState.OPEN, comparison__batch__state=BatchState.OPEN)
        .select_related("comparison__batch", "comparison__dialogue")
        .select_related("comparison__response_a", "comparison__response_b")
        .order_by("created_at", "pk")
    )
    return [lease.comparison for lease in leases if lease.expires_at > now or _renew(lease, now)]


@transaction.atomic
def _renew(lease: Lease, now: datetime) -> bool:
    """Extend an expired lease, unless its slot went to somebody else meanwhile."""
    _lock(lease.comparison_id)
    fresh = Lease.objects.filter(pk=lease.pk, judged=False).first()
    if fresh is None:
        return False
    if fresh.released:
        _add_free(fresh.comparison_id, -1)
    Lease.objects.filter(pk=fresh.pk).update(expires_at=expiry(now), released=False)
    return True


def occupy(*, comparison: int, overlap: int, annotator: User, now: datetime) -> Lease | None:
    """Take the lowest free slot of a locked pair, or that of somebody who let theirs expire; None: there is none, and
    the pair says so from now on.

    Raises:
        IntegrityError: this person has a slot already.
    """
    leases = Lease.objects.filter(comparison=comparison).order_by("expires_at")
    released = dict(leases.values_list("slot", "released"))
    slot = next((slot for slot in range(overlap) if slot not in released), None)
    if slot is None:
        slot = next((slot for slot, is_released in released.items() if is_released), None)
        if slot is None:
            Comparison.objects.filter(pk=comparison).update(free=0)
            return None
        leases.filter(slot=slot, released=True).delete()
    _add_free(comparison, -1)
    return _hold(comparison, slot, annotator, now)


def occupy_check(*, comparison: int, annotator: User, now: datetime) -> Lease:
    """A slot of a locked attention check, of which there are as many as people."""
    last = Lease.objects.filter(comparison=comparison).aggregate(last=Max("slot"))["last"]
    return _hold(comparison, 0 if last is None else last + 1, annotator, now)


def _hold(comparison: int, slot: int, annotator: User, now: datetime) -> Lease:
    return Lease.objects.create(
        comparison_id=comparison, annotator=annotator, slot=slot, expires_at=expiry(now)
    )


def claim(*, comparison: Comparison, annotator: User) -> bool:
    """Mark this person's slot of a locked pair as judged; False: they have none any more. An expired lease still
    counts while nobody else has taken the slot."""
    lease = Lease.objects.filter(comparison=comparison, annotator=annotator).first()
    if lease is None:
        return False
    if lease.released:
        _add_free(comparison.pk, -1)
    Lease.objects.filter(pk=lease.pk).update(judged=True, released=False)
    return True


@transaction.atomic
def lease_again(*, comparison: Comparison, annotator: User) -> None:
    """Give a pair back to somebody who let it go; `comparison` is locked.

    Raises:
        LeaseLostError: all its slots went to others meanwhile.
    """
    if Lease.objects.filter(comparison=comparison, annotator=annotator).exists():
        return
    own: dict[str, Any] = {"comparison": comparison.pk, "annotator": annotator, "now": timezone.now()}
    if comparison.gold_id is not None:
        occupy_check(**own)
    elif occupy(**own, overlap=comparison.batch.overlap) is None:
        raise LeaseLostError(_("This pair went to somebody else meanwhile. It cannot come back to you."))


def let_go(*, lease: Lease) -> None:
    """End an unjudged lease on a locked pair: it is given to others before all else."""
    lease.delete()
    if lease.comparison.gold_id is None and not lease.released:
        _add_free(lease.comparison_id, 1, place=_front())


@transaction.atomic
def give_back(*, annotator: User, focus: Focus) -> int:
    """Let go of this person's unjudged pairs of a focus; returns how many."""
    return _give_back(Lease.objects.filter(annotator=annotator, judged=False, comparison__focus=focus))


@transaction.atomic
def give_back_all(*, annotator: User) -> int:
    """Let go of all this person's unjudged pairs; returns how many."""
    return _give_back(Lease.objects.filter(annotator=annotator, judged=False))


def _give_back(leases: Iterable[Lease]) -> int:
    count = 0
    # In the order of the pairs, as everybody locks them, so that two who give back do not wait for each other.
    for pk, comparison in sorted((lease.pk, lease.comparison_id) for lease in leases):
        _lock(comparison)
        lease = Lease.objects.filter(pk=pk, judged=False).select_related("comparison").first()
        if lease is not None:
            let_go(lease=lease)
            count += 1
    return count


def release_expired(*, limit: int = RELEASED_AT_ONCE) -> int:
    """Offer the slots of expired leases to others; returns how many. Cheap where there is none.

    The holder keeps the lease until somebody takes the slot. Pairs that are locked now are left for the next time.
    """
    now = timezone.now()
    expired = Lease.objects.filter(judged=False, released=False, expires_at__lte=now)
    expired = expired.filter(comparison__gold=None)
    pairs = sorted(set(expired.order_by("expires_at").values_list("comparison_id", flat=True)[:limit]))
    return sum(_release(pk, now) for pk in pairs)


@transaction.atomic
def _release(comparison: int, now: datetime) -> int:
    if not _lock(comparison, skip=True):
        return 0
    due = Lease.objects.filter(comparison=comparison, judged=False, released=False, expires_at__lte=now)
    if released := due.update(released=True):
        _add_free(comparison, released, place=_front())
    return released


def _lock(comparison: int, *, skip: bool = False) -> bool:
    rows = Comparison.objects.filter(pk=comparison)
    skip = skip and connection.features.has_select_for_update_skip_locked
    return bool(rows.select_for_update(skip_locked=skip).values_list("pk", flat=True).first())


def _add_free(comparison: int, change: int, **columns: int) -> None:
    Comparison.objects.filter(pk=comparison).update(free=F("free") + change, **columns)


def _front() -> int:
    return front(time.time_ns() // 1000)
