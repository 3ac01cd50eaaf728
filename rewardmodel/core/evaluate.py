"""How often a reward model agrees with people, by grade, and how often mere length would (Table 8).

Knows rewards and records. Must not know models or how a reward was computed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from annotation.core.grades import Grade, MarginTable
from annotation.core.records import PreferenceRecord


@dataclass(frozen=True, slots=True)
class ScoredPair:
    """A comparison and the rewards of its two responses."""

    record: PreferenceRecord
    chosen: float
    rejected: float

    @property
    def credit(self) -> float:
        """1 where the model prefers what people chose, 0 where it does not, 1/2 for a tie."""
        return _credit(self.chosen, self.rejected)


def metrics(
    own: Sequence[ScoredPair],
    other: Sequence[ScoredPair],
    *,
    split: Literal["train", "test"],
    margin_table: MarginTable,
) -> dict[str, Any]:
    """The figures of a reward model on its own focus, and its accuracy on the other.

    `split` says which pairs `own` are: "train" where the snapshot holds none to test with, a figure that
    flatters. `loss` is the mean of Eq. 2. Accuracies and loss are None where there is no pair.
    """
    return {
        **_agreement(own),
        "by_grade": _by_grade(own),
        "length_baseline": _mean([_credit(len(p.record.chosen), len(p.record.rejected)) for p in own]),
        "other_focus": _agreement(other) if other else None,
        "split": split,
        "loss": _mean([_loss(pair, margin_table) for pair in own]),
    }


def _by_grade(pairs: Sequence[ScoredPair]) -> Mapping[str, Any]:
    grades: list[Grade | None] = [*Grade, None]
    groups = {grade or "none": [p for p in pairs if p.record.grade is grade] for grade in grades}
    return {str(name): _agreement(group) for name, group in groups.items() if group}


def _agreement(pairs: Sequence[ScoredPair]) -> dict[str, Any]:
    return {"accuracy": _mean([pair.credit for pair in pairs]), "pairs": len(pairs)}


def _credit(chosen: float, rejected: float) -> float:
    return 0.5 if chosen == rejected else float(chosen > rejected)


def _loss(pair: ScoredPair, table: MarginTable) -> float:
    """`log(1 + exp(-(r_c - r_r - m)))`, written so that no exponential overflows."""
    difference = pair.chosen - pair.rejected - pair.record.margin_under(table)
    return max(0.0, -difference) + math.log1p(math.exp(-abs(difference)))


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None
