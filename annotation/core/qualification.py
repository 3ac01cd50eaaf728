"""The tests before the work: what an answer earns, when a step is passed, when somebody may try it (again).

After the four tests of the method's annotators (Touvron et al. 2023, appendix A.5.4): a timed test passed from 90 %,
42 questions with 80 % agreement, 31 ratings of which more than 26 agree, at least 6 of 18 prompts with more than 4
of 5 points on average.

Knows answers, points and moments. Must not know rows or the words in which somebody is told.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from annotation.core.aggregate import Vote
from annotation.core.grades import Choice, Focus, Grade, SafetyLabel

MOST_POINTS: Final = 5  # for one piece of writing; the fewest are 1
GOOD_POINTS: Final = 4  # from which a written prompt may go into the pool
GRACE: Final = timedelta(seconds=30)  # what was sent in time may arrive a little later
RENEWAL: Final = timedelta(days=30)  # how long before a pass ends its step may be taken again


def chose_right(chosen: Collection[int], right: Collection[int]) -> bool:
    """Whether these are the right options of a quiz question: all of them and no other."""
    return set(chosen) == set(right)


def parse_options(text: str) -> tuple[list[str], list[int]]:
    """One option a line, the right ones marked by a leading `*`: the options, and the numbers of the right ones.

    Raises:
        ValueError: fewer than two options, one of them twice, none right or one without words.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    options = [line.removeprefix("*").strip() for line in lines]
    right = [number for number, line in enumerate(lines) if line.startswith("*")]
    if len(options) < 2:
        raise ValueError("A question needs at least two options, one a line.")
    if not all(options):
        raise ValueError("An option has no words.")
    if len(set(options)) < len(options):
        raise ValueError("An option stands there twice.")
    if not right:
        raise ValueError("Mark what is right: an asterisk (*) at the beginning of its line.")
    return options, right


def format_options(options: Sequence[str], right: Collection[int]) -> str:
    """The reverse of `parse_options`."""
    return "\n".join(f"{'* ' if number in right else ''}{option}" for number, option in enumerate(options))


def vote_of(value: Mapping[str, Any], focus: Focus) -> Vote | None:
    """A stored rating, {choice, grade, safety}; None while a part that the focus asks for is missing."""
    choice, grade, safety = (value.get(part) for part in ("choice", "grade", "safety"))
    if not choice or not grade or (focus is Focus.SAFETY and not safety):
        return None
    return Vote(Choice(choice), Grade(grade), SafetyLabel(safety) if safety else None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Of one step. `asked` counts its questions; 0 means all of them for `fewest`, no limit for `minutes` and
    `attempts`, no end for `valid_days`."""

    asked: int
    pass_share: float
    fewest: int = 0
    minutes: int = 0
    attempts: int = 0
    wait_hours: int = 0
    valid_days: int = 0

    @property
    def wanted(self) -> int:
        """How many answers the score is a share of, at least."""
        return self.fewest or self.asked

    def deadline(self, started: datetime) -> datetime | None:
        return started + timedelta(minutes=self.minutes) if self.minutes else None

    def pass_ends(self, passed: datetime) -> datetime | None:
        return passed + timedelta(days=self.valid_days) if self.valid_days else None


def is_over(deadline: datetime | None, now: datetime) -> bool:
    """Whether answers come too late."""
    return deadline is not None and now > deadline + GRACE


def share_of(earned: int, *, given: int, rules: Rules, worth: int = 1) -> float:
    """What was earned as a share of what could be: `worth` is the most that one answer earns.

    An answer that is missing earns nothing. Where a choice is left (6 of 18), only those that were given count.
    """
    counted = max(given, rules.wanted)
    return earned / (worth * counted) if counted else 0.0


def is_passed(share: float, *, given: int, rules: Rules) -> bool:
    """From the pass mark on, and with the fewest answers given where a number is stated."""
    return share >= rules.pass_share and given >= rules.fewest


class Standing(StrEnum):
    """Where somebody stands at a step."""

    LATER = "later"  # an earlier step is not passed yet
    READY = "ready"  # may be begun, or taken again before its pass ends
    OPEN = "open"  # is being answered
    WAITING = "waiting"  # waits for a reviewer
    RESTING = "resting"  # failed; the next try is possible from a moment on
    BARRED = "barred"  # failed, and there are no more tries
    PASSED = "passed"


@dataclass(frozen=True, slots=True)
class Try:
    """One go at a step: `passed` is None while nothing is decided, `ended_at` while it is being answered."""

    passed: bool | None
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class Place:
    """Somebody's standing at one step.

    `valid`: a pass counts now, whatever the standing; it ends at `ends` (None: never). `retry_at` is when a rest is
    over; `left` how many tries there are (None: any number).
    """

    standing: Standing
    valid: bool
    ends: datetime | None
    retry_at: datetime | None
    left: int | None


def place_of(
    tries: Sequence[Try], rules: Rules, *, now: datetime, reached: bool, since: datetime | None = None
) -> Place:
    """Where somebody stands by their tries, the oldest first.

    `reached`: all earlier steps are passed. What ended up to `since` counts for nothing: a certificate was revoked
    then. Tries are counted afresh after each pass.
    """
    counted = [t for t in tries if since is None or t.ended_at is None or t.ended_at > since]
    last_pass = max((n for n, t in enumerate(counted) if t.passed), default=-1)
    passed_at = counted[last_pass].ended_at if last_pass >= 0 else None
    ends = rules.pass_ends(passed_at) if passed_at else None
    valid = passed_at is not None and (ends is None or ends > now)
    failed = [t.ended_at for t in counted[last_pass + 1 :] if t.passed is False and t.ended_at]
    left = max(0, rules.attempts - len(failed)) if rules.attempts else None
    rest = failed[-1] + timedelta(hours=rules.wait_hours) if failed else None
    retry_at = rest if rest and rest > now else None

    def at(standing: Standing) -> Place:
        return Place(standing, valid, ends if valid else None, retry_at, left)

    if any(t.ended_at is None for t in counted):
        return at(Standing.OPEN)
    if any(t.passed is None for t in counted):
        return at(Standing.WAITING)
    if valid and not _is_renewable(ends, now):
        return at(Standing.PASSED)
    if not reached:
        return at(Standing.LATER)
    if left == 0:
        return at(Standing.BARRED)
    return at(Standing.RESTING if retry_at else Standing.READY)


def _is_renewable(ends: datetime | None, now: datetime) -> bool:
    return ends is not None and now >= ends - RENEWAL


def certificate_ends(places: Sequence[Place]) -> datetime | None:
    """When the first of these passes ends; None: never."""
    return min((place.ends for place in places if place.ends), default=None)
