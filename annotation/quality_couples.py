"""Two judgments of one pair beside each other: what one person says where another says something, and how far each two
people agree.

Knows columns (quality_figures) and Cohen's kappa. Must not know rows, people's names or pages.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from annotation.core.agreement.coefficients import Coefficient, cohen
from annotation.core.agreement.tables import Ratings
from annotation.core.agreement.weights import Weighting
from annotation.core.grades import Grade
from annotation.core.shares import Ints, wilson
from annotation.quality_figures import CATEGORIES, STEPS, Said, Scale

FEWEST_SHARED: Final = 20  # pairs that two people judged, before their agreement is worth a row
MOST_COUPLES: Final = 200


def grades_beside(said: Said) -> Ints:
    """[4, 8]: for each grade that one person gave, what another said of the same pair, as often as it happens.

    The first four columns are those who chose the same response, strongest grade first; the other four those who
    chose the other one, weakest first. Every two people count both ways.
    """
    first, second = said.meetings
    one, other = np.append(first, second), np.append(second, first)
    graded = (said.rank[one] >= 0) & (said.rank[other] >= 0)
    one, other = one[graded], other[graded]
    same = said.choice[one] == said.choice[other]
    column = np.where(same, said.rank[other], STEPS - 1 - said.rank[other])
    counts = np.bincount(said.rank[one] * STEPS + column, minlength=len(Grade) * STEPS)
    return counts.reshape(len(Grade), STEPS)


@dataclass(frozen=True, slots=True)
class Couple:
    """Two people on the pairs that both judged; `same` of `shared` are those where they chose the same response, with
    a 95 % interval (Wilson). `kappa` is Cohen's of the choice, `weighted` of the grade with quadratic weights."""

    first: int
    second: int
    shared: int
    same: int
    low: float
    high: float
    kappa: Coefficient
    weighted: Coefficient

    @property
    def value(self) -> float:
        return self.same / self.shared


@dataclass(frozen=True, slots=True)
class Couples:
    """The least agreeing first. `fewer` share too few pairs for a row, `more` are left out of a long list."""

    rows: list[Couple]
    fewer: int
    more: int


def couples_of(said: Said, *, fewest: int = FEWEST_SHARED, person: int | None = None) -> Couples:
    """Everybody with everybody, or with one person alone, where they share `fewest` pairs."""
    first, second = said.meetings
    if person is not None:
        theirs = (said.person[first] == person) | (said.person[second] == person)
        first, second = first[theirs], second[theirs]
    people, who = np.unique(said.person, return_inverse=True)
    keys, couple = np.unique(who[first] * len(people) + who[second], return_inverse=True)
    shared = np.bincount(couple, minlength=len(keys))
    same = np.bincount(couple, said.choice[first] == said.choice[second], len(keys))
    enough = np.flatnonzero(shared >= fewest)
    order = enough[np.lexsort((-shared[enough], same[enough] / shared[enough]))][:MOST_COUPLES]
    by_couple = np.argsort(couple, kind="stable")
    ends = shared.cumsum()
    rows = []
    for n in order.tolist():
        here = by_couple[ends[n] - shared[n] : ends[n]]
        rows.append(_couple(said, first[here], second[here]))
    return Couples(rows, fewer=len(keys) - len(enough), more=len(enough) - len(order))


def _couple(said: Said, first: Ints, second: Ints) -> Couple:
    shared, same = len(first), int((said.choice[first] == said.choice[second]).sum())
    low, high = wilson(same / shared, shared)
    graded = (said.step[first] >= 0) & (said.step[second] >= 0)
    choices = _table(said.choice[first], said.choice[second], Scale.CHOICE)
    grades = _table(said.step[first][graded], said.step[second][graded], Scale.GRADE)
    return Couple(
        first=int(said.person[first[0]]),
        second=int(said.person[second[0]]),
        shared=shared,
        same=same,
        low=low,
        high=high,
        kappa=cohen(choices),
        weighted=cohen(grades, Weighting.QUADRATIC),
    )


def _table(row: Ints, column: Ints, scale: Scale) -> Ratings:
    q = len(CATEGORIES[scale])
    counts = np.bincount(row * q + column, minlength=q * q).reshape(q, q)
    return Ratings.from_table(counts.tolist(), CATEGORIES[scale])
