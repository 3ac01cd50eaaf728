"""Scored pairs, and the same pairs as columns of numbers.

Knows rewards and records. Must not know models, how a reward was computed, or what is made of the columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from annotation.core.records import PreferenceRecord
from rewardmodel.core.report import RunFailedError

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Bools = NDArray[np.bool_]

# Beyond it sums of squares overflow; no reward that means something comes near.
LARGEST: Final = 1e30


@dataclass(frozen=True, slots=True)
class ScoredPair:
    """A comparison and the rewards of its two responses."""

    record: PreferenceRecord
    chosen: float
    rejected: float

    @property
    def credit(self) -> float:
        """1 where the model prefers what people chose, 0 where it does not, 1/2 for a tie."""
        return credit(self.chosen, self.rejected)


def credit(chosen: float, rejected: float) -> float:
    """1, 0 or, for a tie, 1/2: what a coin would get of it."""
    return 0.5 if chosen == rejected else float(chosen > rejected)


@dataclass(frozen=True)
class Table:
    """N pairs as columns, in an order that does not depend on the order in which they came.

    Attributes:
        pairs: the pairs.
        chosen, rejected: [N], raw rewards.
        credit: [N], 1, 0 or 1/2.
        prompt: [N], the number of the pair's prompt, 0 to G - 1. Pairs of a prompt are one cluster: what a model
            gets wrong of one it gets wrong of the others too.
        length: [N], the credit of choosing the longer response (characters).
        people: [N], the share of the people behind the pair who made its choice; NaN where fewer than two judged,
            and everywhere where the weights of the snapshot are no such shares (Dawid-Skene).
        words: [N], the credit of a bag of words, or None where there was nothing to learn it from.
    """

    pairs: tuple[ScoredPair, ...]
    chosen: Floats
    rejected: Floats
    credit: Floats
    prompt: Ints
    length: Floats
    people: Floats
    words: Floats | None

    def __len__(self) -> int:
        return len(self.pairs)

    @property
    def difference(self) -> Floats:
        """[N], how far the chosen response is above the other, in units of reward."""
        return self.chosen - self.rejected


def in_order(pairs: Sequence[ScoredPair]) -> list[ScoredPair]:
    """The pairs in the order of their keys, so that the sums, and what is drawn, do not depend on how they came.

    Raises:
        RunFailedError: if a reward is no number.
    """
    for pair in pairs:
        if not (abs(pair.chosen) < LARGEST and abs(pair.rejected) < LARGEST):
            raise RunFailedError(
                f"The model's rewards of pair {pair.record.id} are {pair.chosen} and {pair.rejected}: no numbers to "
                "measure. Train it again with a smaller learning_rate."
            )
    return sorted(pairs, key=lambda pair: (pair.record.id, pair.record.batch, pair.chosen, pair.rejected))


def table_of(pairs: Sequence[ScoredPair], words: Floats | None = None) -> Table:
    """Columns of pairs that are in order; `words` belong to them one by one."""
    records = [pair.record for pair in pairs]
    chosen = np.array([pair.chosen for pair in pairs], dtype=np.float64)
    rejected = np.array([pair.rejected for pair in pairs], dtype=np.float64)
    names = [record.prompt for record in records]
    number = {name: place for place, name in enumerate(sorted(set(names)))}
    longer = np.array([len(record.chosen) - len(record.rejected) for record in records], dtype=np.float64)
    return Table(
        pairs=tuple(pairs),
        chosen=chosen,
        rejected=rejected,
        credit=credits_of(chosen - rejected),
        prompt=np.array([number[name] for name in names], dtype=np.intp),
        length=credits_of(longer),
        people=_agreeing(records),
        words=words,
    )


def credits_of(difference: Floats) -> Floats:
    """[N] to [N]: 1 above zero, 0 below, 1/2 at zero."""
    return (np.sign(difference) + 1) / 2


def sigmoid(x: Floats) -> Floats:
    """1 / (1 + exp(-x)), written so that nothing overflows and small values keep their digits."""
    return np.exp(-np.logaddexp(0.0, -x))


def mean(values: Floats) -> float | None:
    """The mean, None of none."""
    return float(values.mean()) if len(values) else None


def _agreeing(records: Sequence[PreferenceRecord]) -> Floats:
    shares = np.array([r.weight if r.judgments >= 2 else np.nan for r in records], dtype=np.float64)
    votes = shares * np.array([r.judgments for r in records], dtype=np.float64)
    known = ~np.isnan(shares)
    whole = np.abs(votes[known] - np.round(votes[known])) < 1e-6
    return shares if whole.all() else np.full(len(records), np.nan)
