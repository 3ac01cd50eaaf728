"""One person's own figures for their home page, in few queries whose cost does not grow with the table.

Every question is bounded: by days, by the week's opening, or by number. The index on (annotator, -created_at) serves
them. Must not know pages or words.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from django.utils import timezone

from annotation.core.progress import DAYS, Agreement, Chart, Pace, agreement_of, chart_of, pace_of
from annotation.models import Batch, Judgment, Pass, User

MOST_RECENT: Final = 10_000  # judgments of one person that are looked at
MOST_COMPARED: Final = 500  # of their pairs that are held against what others said
PACE_DAYS: Final = 7


@dataclass(frozen=True, slots=True)
class Progress:
    """`agreement` is None where the batch does not show it, or gives each pair to one person alone."""

    today: Pace
    recent: Pace  # the last PACE_DAYS days
    chart: Chart
    agreement: Agreement | None
    flags_waiting: int


def progress_of(annotator: User, batch: Batch | None) -> Progress:
    today = timezone.localdate()
    rows = _recent(annotator, today - timedelta(days=DAYS - 1))
    return Progress(
        today=pace_of([ms for day, ms in rows if day == today]),
        recent=pace_of([ms for day, ms in rows if day > today - timedelta(days=PACE_DAYS)]),
        chart=chart_of((day for day, _ in rows), until=today, target=batch.daily_target if batch else 0),
        agreement=_agreement(annotator, batch),
        flags_waiting=_flags(annotator),
    )


def _recent(annotator: User, since: date) -> list[tuple[date, int | None]]:
    """Day and active time of their judgments that count."""
    midnight = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
    # A day more, because days with a change of the clock are longer or shorter.
    begin = midnight - timedelta(days=(midnight.date() - since).days + 1)
    rows = (
        Judgment.objects.effective()
        .of_annotators()
        .filter(annotator=annotator, created_at__gte=begin)
        .order_by("-created_at")
        .values_list("created_at", "active_ms")[:MOST_RECENT]
    )
    dated = ((timezone.localtime(at).date(), ms) for at, ms in rows)
    return [(day, ms) for day, ms in dated if day >= since]


def _agreement(annotator: User, batch: Batch | None) -> Agreement | None:
    if batch is None or not batch.shows_agreement or batch.overlap < 2:
        return None
    # The week's opening bounds the walk through the index; before it there is nothing to find.
    begin = batch.opened_at or batch.created_at
    mine = dict(
        Judgment.objects.counting()
        .filter(annotator=annotator, created_at__gte=begin, comparison__batch=batch)
        .order_by("-created_at")
        .values_list("comparison_id", "choice")[:MOST_COMPARED]
    )
    if not mine:
        return Agreement()
    others = Judgment.objects.counting().filter(comparison__in=list(mine)).exclude(annotator=annotator)
    return agreement_of(mine, others.values_list("comparison_id", "choice"))


def _flags(annotator: User) -> int:
    return Pass.objects.waiting().filter(annotator=annotator).count()
