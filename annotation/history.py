"""One person's own judgments and passes, newest first, in pages of a fixed size.

Pages go on from where the last one ended and not by number, so that the tenth costs what the first costs and nothing is
shown twice while rows arrive. Must not know pages or words.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from heapq import merge
from itertools import islice
from typing import Any, Final

from django.db.models import Q, QuerySet
from django.db.models.functions import Left

from annotation.core.passes import PassReason
from annotation.core.states import BatchState
from annotation.models import Judgment, Pass, User

PAGE: Final = 50
EXCERPT: Final = 240  # characters of a prompt that are fetched
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_CURSOR: Final = re.compile(r"([0-9]{1,17})([jp])([0-9]{1,18})")


@dataclass(frozen=True, slots=True)
class Entry:
    """Something that a person said of a pair: `row` is a Judgment or a Pass, `prompt` the prompt's beginning."""

    row: Judgment | Pass
    prompt: str

    @property
    def is_judgment(self) -> bool:
        return isinstance(self.row, Judgment)

    @property
    def is_flag(self) -> bool:
        return isinstance(self.row, Pass) and PassReason(self.row.reason).is_flag

    @property
    def is_open(self) -> bool:
        """Whether the week still takes changes."""
        return self.row.comparison.batch.state == BatchState.OPEN

    @property
    def place(self) -> tuple[datetime, str, int]:
        return self.row.created_at, "j" if self.is_judgment else "p", self.row.pk

    @property
    def cursor(self) -> str:
        at, kind, pk = self.place
        return f"{(at - _EPOCH) // timedelta(microseconds=1)}{kind}{pk}"


@dataclass(frozen=True, slots=True)
class Page:
    entries: list[Entry]
    older: str  # where the next page begins; empty: this is the last


def history_of(annotator: User, *, focus: str = "", text: str = "", after: str = "") -> Page:
    """What counts of what this person said: neither superseded nor taken back. `after` is a page's `older`."""
    place = _place(after)
    judgments = Judgment.objects.effective().of_annotators().filter(annotator=annotator)
    passes = Pass.objects.standing().filter(annotator=annotator)
    found = merge(
        _entries(judgments.filter(_wanted("focus", focus, text)), "j", place),
        _entries(passes.filter(_wanted("comparison__focus", focus, text)), "p", place),
        key=lambda entry: entry.place,
        reverse=True,
    )
    entries = list(islice(found, PAGE + 1))
    return Page(entries[:PAGE], entries[PAGE - 1].cursor if len(entries) > PAGE else "")


def _wanted(focus_column: str, focus: str, text: str) -> Q:
    wanted = Q(**{focus_column: focus}) if focus else Q()
    return wanted & Q(comparison__dialogue__prompt__text__icontains=text) if text else wanted


def _entries(rows: QuerySet[Any], kind: str, place: tuple[datetime, str, int] | None) -> Sequence[Entry]:
    """At most one page of rows and one row more, from `place` on."""
    if place is not None:
        at, other, pk = place
        same = (
            Q(created_at=at)
            if kind < other
            else Q(created_at=at, pk__lt=pk)
            if kind == other
            else Q(pk__in=[])
        )
        # The first condition is implied by the second; it is what the index understands.
        rows = rows.filter(created_at__lte=at).filter(Q(created_at__lt=at) | same)
    rows = (
        rows.select_related("comparison__batch", "comparison__dialogue")
        .annotate(prompt_start=Left("comparison__dialogue__prompt__text", EXCERPT))
        .defer("comparison__dialogue__messages")
        .order_by("-created_at", "-pk")
    )
    return [Entry(row, row.prompt_start) for row in rows[: PAGE + 1]]


def _place(cursor: str) -> tuple[datetime, str, int] | None:
    """Where a page ends; what is no cursor begins at the newest."""
    match = _CURSOR.fullmatch(cursor)
    if match is None:
        return None
    return _EPOCH + timedelta(microseconds=int(match[1])), match[2], int(match[3])
