"""Agreement in a batch: judgments as columns, and what is read off them.

Knows columns, scales and coefficients. Must not know rows, people's names or pages. Coefficients themselves are
annotation.core.agreement's; here is what is held against what.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from annotation.core.agreement.coefficients import (
    Coefficient,
    alpha,
    cohen,
    conger,
    fleiss,
    gwet,
    percent_agreement,
)
from annotation.core.agreement.tables import Ratings
from annotation.core.agreement.weights import Category, Metric, Weighting
from annotation.core.grades import Choice, Grade
from annotation.core.shares import Ints

STEPS: Final = 2 * len(Grade)
MOST_GROUPS: Final = 40


class Scale(StrEnum):
    """What people said of a pair."""

    CHOICE = "choice"  # nominal: A or B
    GRADE = "grade"  # 1 to 8 in equal steps: A significantly better … B significantly better
    SAFETY = "safety"  # nominal: which of the two are safe


class Trait(StrEnum):
    """By what pairs are grouped and chosen."""

    FOCUS = "focus"
    GRADE = "grade"  # the middle one of a pair's judgments
    TOPIC = "topic"
    RISK = "risk"
    LANGUAGE = "language"


CATEGORIES: Final[Mapping[Scale, tuple[Category, ...]]] = {
    Scale.CHOICE: tuple(str(choice) for choice in Choice),
    Scale.GRADE: tuple(range(1, STEPS + 1)),
    Scale.SAFETY: ("a_safe", "b_safe", "both_safe", "both_unsafe"),
}
WEIGHTINGS: Final[Mapping[Scale, tuple[Weighting, ...]]] = {
    Scale.CHOICE: (Weighting.IDENTITY,),
    Scale.GRADE: (Weighting.IDENTITY, Weighting.ORDINAL, Weighting.QUADRATIC),
    Scale.SAFETY: (Weighting.IDENTITY,),
}
METRICS: Final[Mapping[Scale, tuple[Metric, ...]]] = {
    Scale.CHOICE: (Metric.NOMINAL,),
    Scale.GRADE: (Metric.NOMINAL, Metric.ORDINAL, Metric.INTERVAL),
    Scale.SAFETY: (Metric.NOMINAL,),
}


@dataclass(frozen=True, eq=False)
class Said:
    """N judgments, in the order of pair and person; each column has shape (N,), and -1 is a word not given.

    `pair` and `person` are keys. `choice` is 0 for A and 1 for B, `rank` the place in Grade, `label` the place in
    SafetyLabel, which is said of the chosen one. `traits` are places in `words`, which are the pair's own.
    """

    pair: Ints
    person: Ints
    choice: Ints
    rank: Ints
    label: Ints
    traits: Mapping[Trait, Ints]
    words: Mapping[Trait, Sequence[str]]

    def __len__(self) -> int:
        return len(self.pair)

    @cached_property
    def step(self) -> Ints:
        """The place on the scale of eight: 0 is A significantly better."""
        return np.where(self.rank < 0, -1, np.where(self.choice == 0, self.rank, STEPS - 1 - self.rank))

    @cached_property
    def safety(self) -> Ints:
        """Which of the two are safe, as a place in the categories of Scale.SAFETY: "chosen safe" of two people who
        chose differently is not the same."""
        return np.where(self.label > 0, self.label + 1, np.where(self.label == 0, self.choice, -1))

    @cached_property
    def starts(self) -> Ints:
        """Where each pair's judgments begin."""
        return np.flatnonzero(np.append(True, self.pair[1:] != self.pair[:-1])) if len(self) else self.pair

    @cached_property
    def sizes(self) -> Ints:
        """How many judgments each pair has."""
        return np.diff(np.append(self.starts, len(self)))

    @cached_property
    def meetings(self) -> tuple[Ints, Ints]:
        """Every two judgments of one pair: where the one stands, and the other. People come in the order of keys."""
        each = np.repeat(self.sizes, self.sizes)
        place = np.arange(len(self)) - np.repeat(self.starts, self.sizes)
        lags = range(1, int(self.sizes.max(initial=0)))
        first = [np.flatnonzero(place + lag < each) for lag in lags]
        second = [found + lag for lag, found in zip(lags, first, strict=True)]
        return _joined(first), _joined(second)

    def where(self, keep: NDArray[np.bool_]) -> Said:
        """The judgments for which `keep` holds."""
        columns = {
            field.name: getattr(self, field.name)[keep]
            for field in fields(self)
            if field.name not in {"traits", "words"}
        }
        return replace(self, **columns, traits={trait: codes[keep] for trait, codes in self.traits.items()})

    def only(self, wanted: Mapping[Trait, str]) -> Said:
        """The judgments of pairs with these traits.

        Raises:
            ValueError: a word that is none of the trait's.
        """
        keep = np.ones(len(self), dtype=np.bool_)
        for trait, word in wanted.items():
            keep &= self.traits[trait] == self.words[trait].index(word)
        return self if keep.all() else self.where(keep)


def middle_grades(starts: Ints, sizes: Ints, rank: Ints) -> Ints:
    """For each pair the place of the middle grade of its judgments, whichever response they chose; the weaker of two
    middle ones, -1 where nobody gave one.

    Not the majority's: of two people who chose differently there is none, so that pairs with a majority grade would
    agree by construction.
    """
    pairs = np.repeat(np.arange(len(sizes)), sizes)
    order = np.lexsort((-rank, pairs))  # weakest first within a pair; those without a grade last
    given = np.bincount(pairs[rank >= 0], minlength=len(sizes))
    middle = rank[order[starts + np.maximum(given - 1, 0) // 2]] if len(rank) else rank
    return np.where(given > 0, middle, -1)


def ratings_of(said: Said, scale: Scale) -> Ratings:
    """As annotation.core.agreement takes them; who gave no such rating is left out."""
    codes = {Scale.CHOICE: said.choice, Scale.GRADE: said.step, Scale.SAFETY: said.safety}[scale]
    given = codes >= 0
    pairs, item = np.unique(said.pair[given], return_inverse=True)
    people, rater = np.unique(said.person[given], return_inverse=True)
    return Ratings(len(pairs), len(people), item, rater, codes[given], CATEGORIES[scale])


def coefficients_of(ratings: Ratings, scale: Scale) -> list[Coefficient]:
    """Per cent, Gwet, Fleiss, and Cohen's kappa of two people or Conger's of more, under each weighting that fits the
    scale; then Krippendorff's alpha under each metric that does."""
    kappa = cohen if ratings.raters == 2 else conger
    found = [
        of(ratings, weighting)
        for weighting in WEIGHTINGS[scale]
        for of in (percent_agreement, gwet, fleiss, kappa)
    ]
    return found + [alpha(ratings, metric) for metric in METRICS[scale]]


@dataclass(frozen=True, slots=True)
class Figures:
    """`pairs` are judged by two people or more. `same` is the share of two people who chose the same response, `ac1`
    the same above chance, `ac2` that of the grade with quadratic weights."""

    pairs: int
    people: int
    judgments: int
    same: Coefficient
    ac1: Coefficient
    ac2: Coefficient


def figures_of(said: Said) -> Figures:
    choices, grades = ratings_of(said, Scale.CHOICE), ratings_of(said, Scale.GRADE)
    return Figures(
        pairs=int((said.sizes > 1).sum()),
        people=choices.raters,
        judgments=len(said),
        same=percent_agreement(choices),
        ac1=gwet(choices),
        ac2=gwet(grades, Weighting.QUADRATIC),
    )


@dataclass(frozen=True, slots=True)
class Group:
    word: str
    figures: Figures


def groups_of(said: Said, trait: Trait) -> list[Group]:
    """The MOST_GROUPS largest groups of pairs that have the trait, in the order of its words."""
    codes = said.traits[trait]
    counts = np.bincount(codes[codes >= 0], minlength=len(said.words[trait]))
    largest = sorted(np.argsort(-counts, kind="stable")[:MOST_GROUPS].tolist())
    return [
        Group(said.words[trait][code], figures_of(said.where(codes == code)))
        for code in largest
        if counts[code]
    ]


def _joined(parts: list[Ints]) -> Ints:
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.intp)
