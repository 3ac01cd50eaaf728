"""What one person's work comes to: pace, agreement with others, judgments a day.

Knows numbers, days and choices. Must not know rows, people or words on a screen.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from statistics import median
from typing import Final

DAYS: Final = 14  # that the chart shows
FEWEST_TIMED: Final = 5  # pairs; a pace of fewer says nothing
FEWEST_SHARED: Final = 20  # pairs judged by others too; agreement on fewer is noise
MS_PER_HOUR: Final = 3_600_000


@dataclass(frozen=True, slots=True)
class Pace:
    """How quickly somebody judges while at work: None where too few pairs were timed to say."""

    judgments: int
    an_hour: int | None = None  # of active time
    median_seconds: int | None = None


def pace_of(active_ms: Sequence[int | None]) -> Pace:
    """The pace of judgments by their active times; those without one count and are not timed."""
    timed = [ms for ms in active_ms if ms]
    if len(timed) < FEWEST_TIMED:
        return Pace(len(active_ms))
    return Pace(
        judgments=len(active_ms),
        an_hour=round(len(timed) * MS_PER_HOUR / sum(timed)),
        median_seconds=round(median(timed) / 1000),
    )


@dataclass(frozen=True, slots=True)
class Agreement:
    """On how many pairs the others have a majority, and on how many of those it chose as this person did."""

    pairs: int = 0
    same: int = 0

    @property
    def percent(self) -> int | None:
        """None below FEWEST_SHARED."""
        return round(100 * self.same / self.pairs) if self.pairs >= FEWEST_SHARED else None


def agreement_of(mine: Mapping[int, str], others: Iterable[tuple[int, str]]) -> Agreement:
    """`mine` is this person's choice by pair, `others` are the choices of everybody else on those pairs. A pair
    on which the others are split evenly has no majority and counts for nothing."""
    votes: defaultdict[int, Counter[str]] = defaultdict(Counter)
    for pair, choice in others:
        votes[pair][choice] += 1
    majorities = {pair: found for pair in mine if (found := _majority(votes[pair])) is not None}
    return Agreement(len(majorities), sum(mine[pair] == choice for pair, choice in majorities.items()))


def _majority(votes: Counter[str]) -> str | None:
    first, second = [*votes.most_common(2), ("", 0), ("", 0)][:2]
    return first[0] if first[1] > second[1] else None


@dataclass(frozen=True, slots=True)
class Bar:
    """One day of the chart; `percent` is its height."""

    day: date
    judgments: int
    percent: int


@dataclass(frozen=True, slots=True)
class Chart:
    """The last days, oldest first. 100 percent is the busiest day, or the target where that is more."""

    bars: list[Bar]
    target_percent: int = 0

    @property
    def total(self) -> int:
        return sum(bar.judgments for bar in self.bars)

    @property
    def most(self) -> int:
        return max((bar.judgments for bar in self.bars), default=0)


def chart_of(days: Iterable[date], *, until: date, target: int = 0) -> Chart:
    """A bar for each of the DAYS days that end with `until`, from the days on which judgments were made."""
    counts = Counter(days)
    shown = [until - timedelta(days=back) for back in reversed(range(DAYS))]
    most = max([target, 1, *(counts[day] for day in shown)])
    bars = [Bar(day, counts[day], _height(counts[day], most)) for day in shown]
    return Chart(bars, round(100 * target / most))


def _height(count: int, most: int) -> int:
    # One judgment is seen too, whatever the busiest day was.
    return max(2, round(100 * count / most)) if count else 0
