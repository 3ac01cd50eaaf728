"""Made-up worlds in which the worth of every response is known, and people who grade and label them.

Knows words with weights, thresholds and noise. Must not know models or losses.

A response is a bag of words, its worth the sum of their weights over the square root of their number. A person feels
the difference of two worths, plus noise of their own; the sign is the choice, thresholds on the size give the grade.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from annotation.core.grades import Grade, SafetyLabel
from bench.experiments.folds import FloatArray, IntArray

WORDS: Final = 200
LENGTH: Final = 12  # words a response
# Significantly better, better, slightly better, negligibly better: between the first and last batches of Fig. 25.
GRADE_SHARES: Final = (0.15, 0.25, 0.27, 0.33)
BIN_SHARES: Final = (0.18, 0.47, 0.35)  # section 3.2.1, in the order of SafetyLabel
GRADES: Final = tuple(Grade)
LABELS: Final = tuple(SafetyLabel)
HAZARDS: Final = 30  # the first words of the vocabulary are hazardous, in the safety worlds


@dataclass(frozen=True, slots=True)
class Graded:
    """Pairs whose chosen response is row 2i; `words` are the responses, shape [2 * pairs, LENGTH]."""

    words: IntArray
    grades: IntArray  # index into GRADES, shape [pairs]
    truly: FloatArray  # worth of chosen less worth of rejected, shape [pairs]

    @property
    def pairs(self) -> int:
        return len(self.grades)

    def part(self, start: int, stop: int) -> Graded:
        return Graded(self.words[2 * start : 2 * stop], self.grades[start:stop], self.truly[start:stop])


@dataclass(frozen=True, slots=True)
class GradedWorld:
    """One setting. `expected` was written before anything was measured."""

    name: str
    expected: str
    pairs: int
    noise: float = 1.0  # of a person, where worths have a standard deviation of 1
    meaningless: bool = False  # grades are dealt out at random
    projected: int = 0  # the head sees so many mixtures of word counts; 0: the counts themselves


def graded(world: GradedWorld, seed: int, *, more: int) -> tuple[Graded, FloatArray]:
    """`world.pairs` pairs to learn from and `more` behind them, and the words' weights."""
    generator = np.random.default_rng([seed, 1])
    total = world.pairs + more
    weights = generator.normal(size=WORDS)
    words = generator.integers(0, WORDS, size=(2 * total, LENGTH))
    worth = weights[words].sum(axis=1) / np.sqrt(LENGTH)
    felt = worth[::2] - worth[1::2] + world.noise * generator.normal(size=total)
    grades = _graded(np.abs(felt))
    if world.meaningless:
        grades = generator.permutation(grades)
    return Graded(_chosen_first(words, felt), grades, (worth[::2] - worth[1::2]) * np.sign(felt)), weights


def _graded(strength: FloatArray) -> IntArray:
    """Index into GRADES by size, so that the grades have their shares."""
    edges = np.quantile(strength, 1 - np.cumsum(GRADE_SHARES)[:-1])
    found: IntArray = (strength[:, None] < edges).sum(axis=1)
    return found


def _chosen_first(words: IntArray, felt: FloatArray) -> IntArray:
    turned = words.reshape(-1, 2, LENGTH).copy()
    turned[felt < 0] = turned[felt < 0][:, ::-1]
    return turned.reshape(-1, LENGTH)


@dataclass(frozen=True, slots=True)
class Labelled:
    """Pairs whose chosen response is row 2i, with the two safety signs of each (+1 safe, -1 unsafe)."""

    words: IntArray  # [2 * pairs, LENGTH]
    signs: IntArray  # as the person labelled, [2 * pairs]
    truly: IntArray  # as the response was made, [2 * pairs]

    @property
    def pairs(self) -> int:
        return len(self.signs) // 2

    def part(self, start: int, stop: int) -> Labelled:
        rows = slice(2 * start, 2 * stop)
        return Labelled(self.words[rows], self.signs[rows], self.truly[rows])


@dataclass(frozen=True, slots=True)
class SafetyWorld:
    """One setting of the safety campaign. `expected` was written before anything was measured."""

    name: str
    expected: str
    pairs: int
    shares: tuple[float, float, float] = BIN_SHARES
    noise: float = 1.0
    meaningless: bool = False  # labels are dealt out at random over the pairs
    hazard_safe: float = 0.03  # share of hazardous words in a safe response, and in an unsafe one
    hazard_unsafe: float = 0.15


def labelled(world: SafetyWorld, seed: int, *, more: int) -> Labelled:
    """Pairs of the safety campaign: where one response alone is safe it is chosen, else the worthier one."""
    generator = np.random.default_rng([seed, 2])
    total = world.pairs + more
    weights = generator.normal(size=WORDS)
    bins = generator.choice(len(LABELS), size=total, p=world.shares)
    signs = np.array([_signs(label) for label in LABELS])[bins].reshape(-1)
    words = _with_hazards(world, signs, generator)
    worth = weights[words].sum(axis=1) / np.sqrt(LENGTH)
    felt = worth[::2] - worth[1::2] + world.noise * generator.normal(size=total)
    felt[signs[::2] != signs[1::2]] = 1.0  # the safe one lies first already
    said = signs
    if world.meaningless:
        said = signs.reshape(-1, 2)[generator.permutation(total)].reshape(-1)
    return Labelled(_chosen_first(words, felt), said, signs)


def _signs(label: SafetyLabel) -> tuple[int, int]:
    return (1 if label.chosen_is_safe else -1), (1 if label.rejected_is_safe else -1)


def _with_hazards(world: SafetyWorld, signs: IntArray, generator: np.random.Generator) -> IntArray:
    rate = np.where(signs > 0, world.hazard_safe, world.hazard_unsafe)[:, None]
    hazardous = generator.random((len(signs), LENGTH)) < rate
    hazards = generator.integers(0, HAZARDS, size=hazardous.shape)
    plain = generator.integers(HAZARDS, WORDS, size=hazardous.shape)
    return np.where(hazardous, hazards, plain)


def counts(words: IntArray) -> FloatArray:
    """How often each word is in each response, shape [responses, WORDS]."""
    found = np.zeros((len(words), WORDS))
    np.add.at(found, (np.arange(len(words))[:, None], words), 1.0)
    return found


def projected(features: FloatArray, size: int, seed: int) -> NDArray[np.float64]:
    """`size` random mixtures of the features, the same for all rows of a seed."""
    mixing = np.random.default_rng([seed, 3]).normal(size=(features.shape[1], size))
    mixed: NDArray[np.float64] = features @ mixing / np.sqrt(features.shape[1])
    return mixed
