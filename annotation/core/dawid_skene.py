"""Whom to believe: the likely answer to each question and everybody's rates of error, from the votes alone.

Dawid and Skene 1979, "Maximum Likelihood Estimation of Observer Error-Rates Using the EM Algorithm", Applied
Statistics 28(1), 20-28. Every question has one true class. An annotator who sees class k says l with a probability
of their own, whatever the others say. EM alternates between the true classes given everybody's error rates and the
rates given the classes, starting from each question's shares of votes.

Knows numbers and choices. Must not know rows, grades or people's names.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from annotation.core.grades import Choice

FloatArray = NDArray[np.float64]

# What an annotator is taken to have said before their first vote: of each class twice right and once each wrong.
# Without it somebody with one vote is infallible or always wrong; with it they are hardly listened to.
RIGHT: Final = 2.0
WRONG: Final = 1.0
CLASSES: Final = 1.0  # questions of each class that are taken to have been seen before the first
PLACES: Final = 6  # of a probability; further ones differ from one processor to another


@dataclass(frozen=True, slots=True)
class DawidSkene:
    """A fit to I questions, A annotators and K classes.

    `posteriors` [I, K]: the probability of each class; `confusion` [A, K, K]: what an annotator says (last axis)
    of a question of a class; `prior` [K]: how frequent each class is. `objective` has the log-likelihood with the
    logarithm of the smoothing added, one value an iteration: EM never lets it fall.
    """

    posteriors: FloatArray
    confusion: FloatArray
    prior: FloatArray
    objective: tuple[float, ...]

    @property
    def iterations(self) -> int:
        return len(self.objective)

    @property
    def accuracy(self) -> FloatArray:
        """[A]: how often each annotator is right on questions of the usual mixture of classes."""
        accuracy: FloatArray = np.einsum("akk,k->a", self.confusion, self.prior)
        return accuracy


def fit(
    item: ArrayLike,
    annotator: ArrayLike,
    code: ArrayLike,
    *,
    classes: int = 2,
    iterations: int = 200,
    tolerance: float = 1e-6,
) -> DawidSkene:
    """EM on votes in long form: question, annotator and class said, three arrays of equal length, counted from 0.

    Error rates are smoothed by RIGHT and WRONG pseudo-votes an annotator and class, so the fit is the mode under
    Dirichlet priors; as votes grow it becomes the maximum of the likelihood. Stops when no posterior moves by
    more than `tolerance`. The same votes give the same fit, whatever their order, up to rounding. Time and memory
    grow with the number of votes times `classes`.

    Raises:
        ValueError: arrays of different lengths, a negative number, or a class that is not among `classes`.
    """
    votes = _Votes.checked(item, annotator, code, classes)
    pseudo = np.full((classes, classes), WRONG) + np.diag(np.full(classes, RIGHT - WRONG))
    posteriors = votes.shares()
    objective: list[float] = []
    while True:
        counts = votes.confusion_counts(posteriors) + pseudo
        confusion = counts / counts.sum(axis=2, keepdims=True)
        frequency = posteriors.sum(axis=0) + CLASSES
        prior = frequency / frequency.sum()
        joint = np.log(prior) + votes.log_likelihoods(np.log(confusion))
        total = np.logaddexp.reduce(joint, axis=1)
        smoothing = float((pseudo * np.log(confusion)).sum() + CLASSES * np.log(prior).sum())
        objective.append(float(total.sum()) + smoothing)
        before, posteriors = posteriors, np.exp(joint - total[:, None])
        moved = float(np.abs(posteriors - before).max(initial=0.0))
        if moved <= tolerance or len(objective) >= iterations:
            return DawidSkene(posteriors, confusion, prior, tuple(objective))


def posteriors_of(votes: Iterable[tuple[int, int, str]]) -> dict[int, float]:
    """By comparison the probability that A is the better response, from (comparison, annotator, choice).

    The votes are read once; what is kept is 17 bytes a vote and the answer. Sorted and rounded to PLACES, so that
    the same votes give the same numbers in whatever order and on whatever machine they are read.
    """
    kinds = np.dtype([("comparison", np.int64), ("annotator", np.int64), ("code", np.int8)])
    table = np.fromiter(
        ((comparison, annotator, choice == Choice.B) for comparison, annotator, choice in votes), dtype=kinds
    )
    table.sort(order=["comparison", "annotator"])
    comparisons, item = np.unique(table["comparison"], return_inverse=True)
    _, annotator = np.unique(table["annotator"], return_inverse=True)
    found = fit(item, annotator, table["code"])
    is_a = found.posteriors[:, 0].round(PLACES)
    return dict(zip(comparisons.tolist(), is_a.tolist(), strict=True))


@dataclass(frozen=True, slots=True)
class _Votes:
    item: NDArray[np.intp]
    annotator: NDArray[np.intp]
    code: NDArray[np.intp]
    classes: int
    items: int
    annotators: int

    @classmethod
    def checked(cls, item: ArrayLike, annotator: ArrayLike, code: ArrayLike, classes: int) -> _Votes:
        columns = [np.asarray(column, dtype=np.intp) for column in (item, annotator, code)]
        if len({column.shape for column in columns}) != 1 or columns[0].ndim != 1:
            raise ValueError("item, annotator and code are three lists of equal length")
        if any(column.min(initial=0) < 0 for column in columns):
            raise ValueError("items, annotators and classes are counted from 0")
        if columns[2].max(initial=0) >= classes:
            raise ValueError(f"a vote is for class {columns[2].max()}; there are {classes}, counted from 0")
        sizes = [int(column.max(initial=-1)) + 1 for column in columns[:2]]
        return cls(columns[0], columns[1], columns[2], classes, *sizes)

    def shares(self) -> FloatArray:
        """[I, K]: the votes for each class; a number without votes may be any."""
        counts = np.bincount(
            self.item * self.classes + self.code, minlength=self.items * self.classes
        ).reshape(self.items, self.classes)
        asked = counts.sum(axis=1, keepdims=True)
        shares: FloatArray = np.where(asked > 0, counts / np.maximum(asked, 1), 1 / self.classes)
        return shares

    def confusion_counts(self, posteriors: FloatArray) -> FloatArray:
        """[A, K, K]: the votes that each annotator gave, spread over what the questions may have been."""
        place = self.annotator * self.classes + self.code
        size = self.annotators * self.classes
        counts = [np.bincount(place, posteriors[self.item, k], size) for k in range(self.classes)]
        return np.stack([c.reshape(self.annotators, self.classes) for c in counts], axis=1)

    def log_likelihoods(self, log_confusion: FloatArray) -> FloatArray:
        """[I, K]: of each question's votes, had it been of each class."""
        said = [log_confusion[self.annotator, k, self.code] for k in range(self.classes)]
        return np.stack([np.bincount(self.item, s, self.items) for s in said], axis=1)
