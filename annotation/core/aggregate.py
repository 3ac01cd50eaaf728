"""From several people's votes on one comparison to the one row that is exported.

Knows votes in data's terms (choice, grade, label). Must not know people, sides of the screen or storage.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from annotation.core.grades import Choice, Grade, SafetyLabel

_STRENGTH: Final = {grade: -rank for rank, grade in enumerate(Grade)}
_CAUTION: Final = {SafetyLabel.BOTH_SAFE: 0, SafetyLabel.CHOSEN_SAFE: 1, SafetyLabel.BOTH_UNSAFE: 2}


@dataclass(frozen=True, slots=True)
class Vote:
    """What one person said of a comparison; an imported vote may lack grade and label."""

    choice: Choice
    grade: Grade | None = None
    safety: SafetyLabel | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the votes say together; `weight` is the share of all of them that chose `choice`."""

    choice: Choice
    grade: Grade | None
    safety: SafetyLabel | None
    weight: float


def majority(votes: Sequence[Vote]) -> Outcome | None:
    """The choice of more than half, or None: an even split says nothing and the caller counts it as dropped.

    Grade and label come from the agreeing votes alone, since both are said of the chosen response: a
    dissenting "significantly better" is no strength of this choice.
    """
    if not votes:
        return None
    choice, count = Counter(vote.choice for vote in votes).most_common(1)[0]
    if 2 * count <= len(votes):
        return None
    agreeing = [vote for vote in votes if vote.choice is choice]
    return Outcome(
        choice=choice,
        grade=lower_median(vote.grade for vote in agreeing if vote.grade is not None),
        safety=cautious_label(vote.safety for vote in agreeing if vote.safety is not None),
        weight=count / len(votes),
    )


def lower_median(grades: Iterable[Grade]) -> Grade | None:
    """The middle grade, the weaker of two middle ones; None of none.

    The weaker, because a margin that is too large pushes two scores apart without ground.
    """
    ordered = sorted(grades, key=_STRENGTH.__getitem__)
    return ordered[(len(ordered) - 1) // 2] if ordered else None


def cautious_label(labels: Iterable[SafetyLabel]) -> SafetyLabel | None:
    """The most frequent label, of equally frequent ones the one with more unsafe responses; None of none."""
    counts = Counter(labels)
    return max(counts, key=lambda label: (counts[label], _CAUTION[label])) if counts else None
