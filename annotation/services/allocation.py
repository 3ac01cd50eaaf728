"""Who gets what next: the walk along the queue. What may be given is core.allocation's to say.

The cost of a pair does not grow with the week: the queue's index holds free slots alone, what came back stands at its
front, and a person's `Worklist` remembers where they were.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.db import IntegrityError, connection, transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from annotation.core.allocation import AGE, Terms, place_of
from annotation.core.attention import draws_gold, pick_gold
from annotation.core.states import BatchState, ComparisonState
from annotation.models import Batch, Comparison, User, Worklist
from annotation.queries import standing_terms
from annotation.services.leases import held_by, occupy, occupy_check, release_expired

ATTEMPTS: Final = 8
PIECE: Final = 500
MOST_HELD: Final = 24  # pairs in one person's hands; the page takes so many along only where many wait
MOST_UNSENT: Final = 24  # as many more may wait in the page's outbox


def lease_next(*, annotator: User, count: int = 1, skip: Iterable[str] = ()) -> list[Comparison]:
    """Up to `count` comparisons for this person, those already held first.

    Asking again returns the same pairs, so a reload or a second tab takes nothing away from others. `skip`
    names keys that the client still has in its outbox.
    """
    if annotator.paused_at is not None:
        return []
    now = timezone.now()
    focuses = annotator.focuses
    held = held_by(annotator, now)
    unsent = set(skip) & {c.key for c in held}
    chosen = [c for c in held if c.key not in unsent and c.focus in focuses][:count]
    # What is in the outbox counts as held, or else a made-up outbox would lease without bound.
    room = min(count - len(chosen), MOST_HELD + min(len(unsent), MOST_UNSENT) - len(held))
    if room > 0:
        release_expired()
        chosen += _take(annotator, room, now)
    return chosen


def _take(annotator: User, room: int, now: datetime) -> list[Comparison]:
    """Lease up to `room` pairs, of the oldest open weeks that have some for this person."""
    taken: list[int] = []
    for batch in Batch.objects.filter(state=BatchState.OPEN).order_by("number"):
        for _attempt in range(ATTEMPTS):
            try:
                with transaction.atomic():
                    taken += _occupy_some(batch, annotator, room - len(taken), now)
                break
            except IntegrityError:
                continue  # another tab of theirs was quicker: other pairs
        if len(taken) >= room:
            break
    rows = Comparison.objects.select_related("batch", "dialogue", "response_a", "response_b").in_bulk(taken)
    return [rows[pk] for pk in taken]


def _occupy_some(batch: Batch, annotator: User, room: int, now: datetime) -> list[int]:
    """In one transaction, so that a database with one writer is asked for it once."""
    terms = standing_terms(annotator, batch)
    if terms.why is not None:
        return []
    worklist, _created = Worklist.objects.get_or_create(annotator=annotator, batch=batch)
    taken: list[int] = []
    room = room if terms.most is None else min(room, terms.most)
    while len(taken) < room and (place := _next_place(batch, annotator, terms, worklist)) is not None:
        if _occupy(place, batch, worklist, annotator, now):
            taken.append(place.pk)
    if taken:
        worklist.save(update_fields=["given", "places"])
    return taken


@dataclass(frozen=True, slots=True)
class _Place:
    """A locked pair; `focus` where the person goes on in that queue from here next time."""

    pk: int
    is_check: bool = False
    at: int = 0
    focus: str = ""


def _next_place(batch: Batch, annotator: User, terms: Terms, worklist: Worklist) -> _Place | None:
    check = _check(batch, annotator, terms, worklist.given)
    if check is not None:
        return _Place(check, is_check=True)
    return _first_free(batch, annotator, terms, worklist)


def _occupy(place: _Place, batch: Batch, worklist: Worklist, annotator: User, now: datetime) -> bool:
    """False: the pair had no slot after all, and says so from now on."""
    if place.is_check:
        occupy_check(comparison=place.pk, annotator=annotator, now=now)
    elif occupy(comparison=place.pk, overlap=batch.overlap, annotator=annotator, now=now) is None:
        return False
    worklist.given += 1
    if place.focus:
        worklist.places[place.focus] = place.at
    return True


def _check(batch: Batch, annotator: User, terms: Terms, ordinal: int) -> int | None:
    """Where one is due, lock an attention check that this person has not had in this week."""
    seed, name = batch.seed, annotator.pseudonym
    if not draws_gold(seed=seed, annotator=name, ordinal=ordinal, rate=batch.gold_rate):
        return None
    rows = (
        Comparison.objects.filter(batch=batch, gold__isnull=False, state=ComparisonState.OPEN)
        .filter(focus__in=terms.focuses)
        .never_held_by(annotator.pk)
    )
    if terms.languages:
        rows = rows.filter(language__in=terms.languages)
    key = pick_gold(seed=seed, annotator=name, candidates=list(rows.values_list("key", flat=True)))
    if key is None:
        return None
    return Comparison.objects.select_for_update().values_list("pk", flat=True).get(key=key)


Rows = QuerySet[Comparison]


def _first_free(batch: Batch, annotator: User, terms: Terms, worklist: Worklist) -> _Place | None:
    """What came back first, then on from where this person was, then once more from the front: behind them may be
    pairs that were locked when they came by."""
    queue = _queue(batch, annotator, terms)
    returned = queue.filter(place__lt=0, focus__in=terms.focuses).order_by("focus", "place")
    if (pk := returned.values_list("pk", flat=True).first()) is not None:
        return _Place(pk)
    starts: tuple[dict[str, int], ...] = (worklist.places, {})
    for after in starts:
        places = [
            _Place(pk, at=place, focus=focus)
            for focus in terms.focuses
            for place, pk in _head(queue.filter(focus=focus, place__gt=after.get(focus, 0)))
        ]
        if places:
            return min(places, key=lambda place: place.at)
    return None


def _queue(batch: Batch, annotator: User, terms: Terms) -> Rows:
    """In the order of the index comparison_queue, or comparison_queue_by_language."""
    rows = Comparison.objects.filter(batch=batch, state=ComparisonState.OPEN, free__gt=0)
    if terms.languages:
        rows = rows.filter(language__in=terms.languages)
    if connection.features.has_select_for_update_skip_locked:
        rows = rows.select_for_update(skip_locked=True)
    return rows.never_held_by(annotator.pk)


def _head(queue: Rows) -> list[tuple[int, int]]:
    """Place and primary key of the first, if there is one."""
    return list(queue.order_by("place").values_list("place", "pk")[:1])


@transaction.atomic
def rank_comparisons(*, batch: Batch, ranks: Mapping[int, int]) -> int:
    """Give pairs of a batch, named by primary key, a rank in its queue; returns how many have it now. What somebody
    gave back stays in front, and nobody's age changes."""
    rows = Comparison.objects.filter(batch=batch, place__gte=0)
    # One statement a rank and not one a pair: nobody is given pairs of this batch meanwhile.
    alike: defaultdict[int, list[int]] = defaultdict(list)
    for pk in rows.select_for_update().order_by("pk").values_list("pk", flat=True):
        if pk in ranks:
            alike[ranks[pk]].append(pk)
    ranked = 0
    for rank, pks in alike.items():
        for begin in range(0, len(pks), PIECE):
            piece = rows.filter(pk__in=pks[begin : begin + PIECE])
            ranked += piece.update(place=F("place").bitand(AGE) + place_of(0, rank=rank))
    # Everybody begins at the front again: what moved there is behind them.
    Worklist.objects.filter(batch=batch).update(places={})
    return ranked
