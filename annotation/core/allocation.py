"""Who may be given what next.

Knows a person's standing, a week's rules and the order of a queue. Must not know rows or clocks:
services.allocation asks here and walks the queue. When a check is due is core.attention's to say.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from annotation.core.grades import Focus

RANKS: Final = 1000  # a rank lies between -RANKS and RANKS; lower is given first
AGE: Final = (
    1 << 52
) - 1  # the bits of a place that hold its age; microseconds since 1970 take 51 until 2041
_SHIFT: Final = 1024


class Nothing(StrEnum):
    """Why somebody is given nothing of a week, whatever waits in it."""

    PAUSED = "paused"
    NOT_QUALIFIED = "not_qualified"
    QUOTA = "quota"


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """`agreed` are the focuses that they agreed to see, `done` their judgments and pairs in hand in the week."""

    agreed: Collection[Focus]
    certified: Collection[Focus] = ()
    languages: Collection[str] = ()
    paused: bool = False
    done: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Week:
    """A batch's rules."""

    needs_certificate: bool = False
    person_quota: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What to look for. No `languages`: any. A pair whose language nobody stated fits everybody. `most` is what the
    quota leaves; None: there is none."""

    focuses: tuple[Focus, ...] = ()
    languages: tuple[str, ...] = ()
    most: int | None = None
    why: Nothing | None = None


def terms_for(person: Person, week: Week) -> Terms:
    """What this person may be given next in this week."""
    if person.paused:
        return Terms(why=Nothing.PAUSED)
    certified = set(person.certified) if week.needs_certificate else set(Focus)
    focuses = tuple(focus for focus in Focus if focus in person.agreed and focus in certified)
    if not focuses:
        return Terms(why=Nothing.NOT_QUALIFIED)
    most = week.person_quota - person.done if week.person_quota else None
    if most is not None and most <= 0:
        return Terms(why=Nothing.QUOTA)
    languages = ("", *sorted(person.languages)) if person.languages else ()
    return Terms(focuses=focuses, languages=languages, most=most)


def doubt(difference: float) -> float:
    """How little a reward model prefers one response of a pair: 1 where it cannot tell, towards 0 where it is sure.

    `difference` is r(x, a) - r(x, b) of Eq. 1, whose logistic is the probability that a is chosen.
    """
    return 1 - abs(math.tanh(difference / 2))  # 2 * sigmoid(d) - 1 is tanh(d / 2)


def rank_of(doubts: Collection[float], *, at_odds: bool = False) -> int:
    """The rank of a pair by the doubt of each model that scored it; models that prefer different responses come first.

    Raises:
        ValueError: no model scored it.
    """
    if not doubts:
        raise ValueError("a pair that no model scored has no rank by disagreement")
    return round(RANKS * (1 - sum(doubts) / len(doubts))) - (RANKS if at_odds else 0)


def place_of(at: int, *, rank: int = 0) -> int:
    """The place in the queue of a pair that came at `at`, in microseconds since 1970: by rank, then by age. One number
    of 63 bits, so that going on from a place is one range of one index.

    Raises:
        ValueError: the rank lies outside -RANKS to RANKS.
    """
    if not -RANKS <= rank <= RANKS:
        raise ValueError(f"rank is {rank}: from {-RANKS} to {RANKS}")
    return (rank + _SHIFT) * (AGE + 1) + at


def front(at: int) -> int:
    """The place of a pair that somebody gave back at `at`: before all others, behind those that came back earlier."""
    return at - (1 << 62)
