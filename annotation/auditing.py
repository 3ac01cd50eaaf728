"""Questions about the audit: who did what when. Its table only grows, so nothing here counts it or reads it whole."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Final

from django.db.models import Max, Min, QuerySet
from django.utils import timezone

from annotation.core.audit import actions_of
from annotation.models import AuditEvent, Role, User

PAGE: Final = 50
PIECE: Final = 2_000  # rows of an export that are read at once
HOUSE: Final = 0  # stands for no actor


@dataclass(frozen=True, slots=True)
class Search:
    """What to look for; None and empty: all. `since` and `until` are whole days, in the zone of the request."""

    group: str = ""
    actor: int | None = None  # HOUSE: what nobody did by hand
    since: date | None = None
    until: date | None = None
    text: str = ""  # part of the object's name


def events(search: Search, *, before: int | None = None, limit: int = PAGE) -> list[AuditEvent]:
    """The newest first, below the primary key `before`."""
    rows = _found(search)
    return list((rows if before is None else rows.filter(pk__lt=before)).order_by("-pk")[:limit])


def every_event(search: Search) -> Iterator[AuditEvent]:
    """All of them, the newest first, read piece by piece."""
    rows = _found(search).order_by("-pk")
    piece = list(rows[:PIECE])
    while piece:
        yield from piece
        piece = list(rows.filter(pk__lt=piece[-1].pk)[:PIECE])


def actors() -> list[User]:
    """Who may do what the audit tells of, beside the house."""
    return list(User.objects.exclude(role=Role.ANNOTATOR).order_by("username"))


def _found(search: Search) -> QuerySet[AuditEvent]:
    rows = AuditEvent.objects.all()
    if search.group:
        rows = rows.filter(action__in=actions_of(search.group))
    if search.actor is not None:
        rows = rows.filter(actor=search.actor or None)
    if search.text:
        rows = rows.filter(object_name__icontains=search.text)
    if search.since is not None:
        rows = rows.filter(pk__gte=_first_at(search.since))
    if search.until is not None:
        rows = rows.filter(pk__lt=_first_at(search.until + timedelta(days=1)))
    return rows


def _first_at(day: date) -> int:
    """The primary key from which on rows are of this day or later. Keys grow with time, so halving finds it; the
    times have no index."""
    moment = timezone.make_aware(datetime.combine(day, time.min))
    ends = AuditEvent.objects.aggregate(first=Min("pk"), last=Max("pk"))
    low, high = ends["first"] or 1, (ends["last"] or 0) + 1
    while low < high:
        middle = (low + high) // 2
        found = AuditEvent.objects.filter(pk__gte=middle).order_by("pk").values_list("pk", "at").first()
        if found is None or found[1] >= moment:
            high = middle
        else:
            low = found[0] + 1
    return low
