"""From several people's votes on one comparison to the rows that are exported.

How is a named, versioned choice: a rule that changes what comes out gets a new version, so that a snapshot always
says what it holds. Knows votes in data's terms (choice, grade, label). Must not know people, sides of the screen or
storage.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from annotation.core.grades import Choice, Grade, SafetyLabel

_RANK: Final = {grade: rank for rank, grade in enumerate(Grade)}
_CAUTION: Final = {SafetyLabel.BOTH_SAFE: 0, SafetyLabel.CHOSEN_SAFE: 1, SafetyLabel.BOTH_UNSAFE: 2}


class AggregationRule(StrEnum):
    """What becomes of several votes, and the version of how."""

    EACH = "each/1"  # every vote is a row of its own, whatever the others say
    MAJORITY = "majority/1"  # the choice of more than half
    ADJUDICATED = "adjudicated/1"  # what a reviewer settled; where none did, the majority
    DAWID_SKENE = "dawid-skene/1"  # the likelier choice, people weighed by how well they judge elsewhere


@dataclass(frozen=True, slots=True)
class Vote:
    """What one person said of a comparison; an imported vote may lack grade and label. An `adjudicated` vote is a
    reviewer's, who knew the others."""

    choice: Choice
    grade: Grade | None = None
    safety: SafetyLabel | None = None
    adjudicated: bool = False

    @property
    def step(self) -> int | None:
        """The place on the scale of eight steps: 0 is A significantly better, 7 is B; None without a grade."""
        if self.grade is None:
            return None
        return _RANK[self.grade] if self.choice is Choice.A else 7 - _RANK[self.grade]


@dataclass(frozen=True, slots=True)
class Outcome:
    """One row. `weight` is the share of the `judgments` votes behind it that chose `choice`; under Dawid-Skene it
    is the probability that `choice` is the better one."""

    choice: Choice
    grade: Grade | None
    safety: SafetyLabel | None
    weight: float
    judgments: int


def outcomes(
    rule: AggregationRule, votes: Sequence[Vote], *, posterior: float | None = None
) -> list[Outcome]:
    """The rows of one comparison, in the order of `votes` where there are several. None: the votes say nothing,
    and the caller counts the comparison as left out.

    A reviewer's vote counts under ADJUDICATED alone: one who knew the others is no further independent voice.
    `posterior` is the probability that A is the better one (annotation.core.dawid_skene.posteriors_of, from
    annotators' votes alone).

    Raises:
        ValueError: DAWID_SKENE for votes without a posterior.
    """
    blind = [vote for vote in votes if not vote.adjudicated]
    if rule is AggregationRule.EACH:
        return [Outcome(v.choice, v.grade, v.safety, weight=1.0, judgments=1) for v in blind]
    if rule is AggregationRule.DAWID_SKENE:
        outcome = _likelier(blind, posterior)
    elif rule is AggregationRule.ADJUDICATED:
        outcome = majority([vote for vote in votes if vote.adjudicated] or blind)
    else:
        outcome = majority(blind)
    return [] if outcome is None else [outcome]


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
    return _row(votes, choice, weight=count / len(votes))


def _likelier(votes: Sequence[Vote], posterior: float | None) -> Outcome | None:
    """Where the model goes against every vote, nobody graded or labelled this choice."""
    if not votes:
        return None
    if posterior is None:
        raise ValueError(f"{AggregationRule.DAWID_SKENE} needs the posterior of each comparison")
    if posterior == 0.5:
        return None
    choice = Choice.A if posterior > 0.5 else Choice.B
    return _row(votes, choice, weight=max(posterior, 1 - posterior))


def _row(votes: Sequence[Vote], choice: Choice, *, weight: float) -> Outcome:
    agreeing = [vote for vote in votes if vote.choice is choice]
    return Outcome(
        choice=choice,
        grade=lower_median(vote.grade for vote in agreeing if vote.grade is not None),
        safety=cautious_label(vote.safety for vote in agreeing if vote.safety is not None),
        weight=weight,
        judgments=len(votes),
    )


def lower_median(grades: Iterable[Grade]) -> Grade | None:
    """The middle grade, the weaker of two middle ones; None of none.

    The weaker, because a margin that is too large pushes two scores apart without ground.
    """
    ordered = sorted(grades, key=_RANK.__getitem__, reverse=True)
    return ordered[(len(ordered) - 1) // 2] if ordered else None


def cautious_label(labels: Iterable[SafetyLabel]) -> SafetyLabel | None:
    """The most frequent label, of equally frequent ones the one with more unsafe responses; None of none."""
    counts = Counter(labels)
    return max(counts, key=lambda label: (counts[label], _CAUTION[label])) if counts else None
