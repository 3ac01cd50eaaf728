"""Narrowing long tables so that a page of them stays quick on millions of rows.

Primary keys grow with time while times have no index of their own, so a time becomes a bound of keys first.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from django.db.models import Max, Min, QuerySet

from annotation.models import Batch, Comparison, Judgment

SHORT: Final = 10_000  # rows that are read through as quickly as a bound is found
SLACK: Final = timedelta(hours=1)  # by which clocks, and rows written side by side, may be out of order


def first_key_at(rows: QuerySet[Any], column: str, moment: datetime) -> int:
    """The primary key from which on rows are of `moment` or later, found by halving."""
    ends = rows.order_by().aggregate(first=Min("pk"), last=Max("pk"))
    low, high = ends["first"] or 1, (ends["last"] or 0) + 1
    while low < high:
        middle = (low + high) // 2
        found = rows.filter(pk__gte=middle).order_by("pk").values_list("pk", column).first()
        if found is None or found[1] >= moment:
            high = middle
        else:
            low = found[0] + 1
    return low


def comparisons_of_batch(rows: QuerySet[Comparison], number: int) -> QuerySet[Comparison]:
    batch = Batch.objects.filter(number=number).first()
    return rows.none() if batch is None else rows.filter(batch=batch)


def judged_since(rows: QuerySet[Judgment], moment: datetime) -> QuerySet[Judgment]:
    return _from(rows.filter(created_at__gte=moment), moment)


def judgments_of_batch(rows: QuerySet[Judgment], number: int) -> QuerySet[Judgment]:
    """They were made between the planning of the batch and its seal. Without these bounds the database passes all
    later judgments, pair by pair, to find the first one of an early week: a second on a million."""
    batch = Batch.objects.filter(number=number).first()
    if batch is None:
        return rows.none()
    rows = _from(rows.filter(comparison__batch=batch), batch.created_at)
    if batch.sealed_at is None or _is_short():
        return rows
    return rows.filter(pk__lt=first_key_at(Judgment.objects.all(), "created_at", batch.sealed_at + SLACK))


def _from(rows: QuerySet[Judgment], moment: datetime) -> QuerySet[Judgment]:
    if _is_short():
        return rows
    return rows.filter(pk__gte=first_key_at(Judgment.objects.all(), "created_at", moment - SLACK))


def _is_short() -> bool:
    ends = Judgment.objects.aggregate(first=Min("pk"), last=Max("pk"))
    return (ends["last"] or 0) - (ends["first"] or 0) < SHORT
