"""Attention checks: pairs whose label is known, strewn unannounced among the others.

Knows answers and what was expected, when a check is due and what several of them say of a person. Must not know
rows, people's names or the words in which somebody is told.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from annotation.core.aggregate import Vote, lower_median
from annotation.core.grades import Choice, Grade, SafetyLabel

HIGHEST_RATE: Final = 0.5
# Weaker grades are close calls: somebody attentive may see it otherwise.
_CLEAR: Final = frozenset({None, Grade.SIGNIFICANTLY_BETTER, Grade.BETTER})


@dataclass(frozen=True, slots=True)
class GoldAnswer:
    """What is right. Without a grade any strength is, without a label any label; a grade may be off by
    `tolerance` steps of the scale of eight, of which A significantly better is one end and B the other."""

    choice: Choice
    grade: Grade | None = None
    safety: SafetyLabel | None = None
    tolerance: int = 1


class GoldPart(StrEnum):
    """What of an answer may be off."""

    CHOICE = "choice"
    GRADE = "grade"
    SAFETY = "safety"


@dataclass(frozen=True, slots=True)
class GoldMark:
    """How an answer was: `off` says which parts were not right, `steps` how far apart the two stand on the scale
    of eight (0 to 7; None where one has no grade)."""

    off: tuple[GoldPart, ...]
    steps: int | None

    @property
    def right(self) -> bool:
        return not self.off


def score_gold(answer: Vote, gold: GoldAnswer) -> GoldMark:
    """Hold an answer against the gold one.

    A wrong choice is never right, however near it lies on the scale, and its grade is not held against it too.
    """
    expected = Vote(gold.choice, gold.grade)
    steps = None if answer.step is None or expected.step is None else abs(answer.step - expected.step)
    off: list[GoldPart] = []
    if answer.choice is not gold.choice:
        off.append(GoldPart.CHOICE)
    elif gold.grade is not None and (steps is None or steps > gold.tolerance):
        off.append(GoldPart.GRADE)
    if gold.safety is not None and not _same_label(answer, gold):
        off.append(GoldPart.SAFETY)
    return GoldMark(tuple(off), steps)


def _same_label(answer: Vote, gold: GoldAnswer) -> bool:
    # "Chosen safe" names another response when another was chosen.
    if answer.choice is not gold.choice and gold.safety is SafetyLabel.CHOSEN_SAFE:
        return False
    return answer.safety is gold.safety


class StandingState(StrEnum):
    """What a person's latest checks say."""

    OK = "ok"  # or too few checks to say
    WARNED = "warned"
    PAUSED = "paused"


@dataclass(frozen=True, slots=True)
class GoldWatch:
    """When checks give cause to act: of the last `window` marks, from `fewest` on, a share right that is below
    `warn_below` or below `pause_below`.

    With these defaults somebody who is right 9 times of 10 is paused wrongly with probability 0.0009 at the ninth
    mark, where it is most likely, 0.0010 at any time during the first 20 marks, and 0.0000007 at each mark after
    that; warned during the first 20 marks with 0.11. Somebody who guesses, and thereby is right half the time, is
    paused within 20 marks with probability 0.68, with 0.98 where 3 of 10 are right. (Exact, from the binomial.)

    Raises:
        ValueError: numbers that could never warn or pause as they should.
    """

    window: int = 20
    fewest: int = 8
    warn_below: float = 0.75
    pause_below: float = 0.5

    def __post_init__(self) -> None:
        if not 1 <= self.fewest <= self.window:
            raise ValueError(f"fewest is {self.fewest}: from 1 to the window of {self.window}")
        if not 0 <= self.pause_below <= self.warn_below <= 1:
            raise ValueError("shares lie between 0 and 1, and a warning comes before a pause")


@dataclass(frozen=True, slots=True)
class Standing:
    """`share` of the last `count` marks is right; 0 of none."""

    state: StandingState
    share: float
    count: int


def standing_of(marks: Sequence[bool], watch: GoldWatch) -> Standing:
    """What the marks say, the newest last; older ones than the window no longer count."""
    counted = marks[-watch.window :]
    share = sum(counted) / len(counted) if counted else 0.0
    if len(counted) < watch.fewest or share >= watch.warn_below:
        state = StandingState.OK
    else:
        state = StandingState.PAUSED if share < watch.pause_below else StandingState.WARNED
    return Standing(state, share, len(counted))


def draws_gold(*, seed: int, annotator: str, ordinal: int, rate: float) -> bool:
    """Whether the pair number `ordinal` (from 0) that this annotator is given is a check.

    Pairs come in blocks of round(1 / rate). Each block holds exactly one check, at a place drawn by hash: so the
    rate is kept at all times, the first check comes within the first block, no gap is longer than two blocks, and
    two checks never follow each other. Nothing is stored and nothing can be foretold without the seed; who knows
    the rate and is told of each check does know that the rest of a block has none.

    Raises:
        ValueError: a negative ordinal, or a rate outside 0 to HIGHEST_RATE.
    """
    if ordinal < 0:
        raise ValueError(f"ordinal is {ordinal}: pairs are counted from 0")
    if not 0 <= rate <= HIGHEST_RATE:
        raise ValueError(f"rate is {rate}: from 0 to {HIGHEST_RATE}")
    if rate == 0:
        return False
    size = round(1 / rate)
    block, place = divmod(ordinal, size)
    return place == _place(f"{seed}:{annotator}", block, size)


def _place(who: str, block: int, size: int) -> int:
    """Where in its block the check stands."""
    if size == 2:
        # Every second pair: any place but the same one in all blocks would put two side by side.
        return _number(f"place:{who}") % 2
    place = _number(f"place:{who}:{block}") % size
    if place == 0 and block and _number(f"place:{who}:{block - 1}") % size == size - 1:
        # Neither first, beside the check before, nor last, so that the next block need not look back further.
        return 1 + _number(f"again:{who}:{block}") % (size - 2)
    return place


def pick_gold(*, seed: int, annotator: str, candidates: Iterable[str]) -> str | None:
    """Which of the keys that this annotator has not seen comes next; None of none.

    Everybody has an order of their own, so that nobody can tell another what will come.
    """
    return min(candidates, key=lambda key: (_number(f"pick:{seed}:{annotator}:{key}"), key), default=None)


def unanimous(votes: Sequence[Vote], *, fewest: int = 3) -> Vote | None:
    """The label that a comparison's votes warrant as gold, or None.

    All of at least `fewest` people chose the same and gave the same safety label (or none), and nobody thought it
    closer than "better"; so stated grades lie within one step. Their lower median is promoted. Votes without any
    grade, as imports have, promote the choice alone.
    """
    if len(votes) < fewest or len({(vote.choice, vote.safety) for vote in votes}) != 1:
        return None
    if not {vote.grade for vote in votes} <= _CLEAR:
        return None
    grade = lower_median(vote.grade for vote in votes if vote.grade is not None)
    return Vote(votes[0].choice, grade, votes[0].safety)


def _number(text: str) -> int:
    return int.from_bytes(hashlib.sha256(f"gold:{text}".encode()).digest()[:8])
