"""The figures of a reader of pairs, a reward model or a judge, on somebody's set.

Knows which figures hold for a set without training pairs, and what was left out. Must not know how a reward was
computed or a judge asked, nor import torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from annotation.core.formats import rewardbench, rm_bench
from annotation.core.grades import MarginTable
from rewardmodel.core import benchmarks
from rewardmodel.core.evaluation.figures import evaluate
from rewardmodel.core.evaluation.pairs import ScoredPair
from rewardmodel.core.external import ExternalPair, Reading

OF_A_SNAPSHOT: Final = frozenset({"by_batch", "bag_of_words", "other_focus", "split"})
OF_REWARDS: Final = frozenset({"loss", "calibration", "spread", "unsafe"})


@dataclass(frozen=True, slots=True)
class Rating:
    """What a reader says of a pair: a number for each response, the higher one preferred; for a judge 1 and 0, or 0
    and 0 where it cannot tell."""

    pair: ExternalPair
    chosen: float
    rejected: float

    @property
    def scored(self) -> ScoredPair:
        return ScoredPair(self.pair.record, self.chosen, self.rejected)


def figures(ratings: Sequence[Rating], form: str, *, margin_table: MarginTable | None) -> dict[str, Any]:
    """All figures of a reader, ready for JSON: those of docs/evaluation.md that need no training pairs, the same by
    subset, and what the benchmark makes of them where the format is one's. `ties` counts pairs on which the reader
    cannot tell.

    `margin_table` is that of the reward model, for the loss; None: the reader is a judge, whose numbers are no rewards,
    so that there is no loss, calibration or threshold.
    """
    table = margin_table or MarginTable.NONE
    found = evaluate([rating.scored for rating in ratings], [], train=(), split="test", margin_table=table)
    unwanted = OF_A_SNAPSHOT if margin_table is not None else OF_A_SNAPSHOT | OF_REWARDS
    subsets = found["by_batch"] if any(rating.pair.subset for rating in ratings) else {}
    found = {name: value for name, value in found.items() if name not in unwanted} | {"by_subset": subsets}
    if form == rewardbench.FORMAT.name:
        accuracies = {name: subset["accuracy"] for name, subset in subsets.items()}
        found["rewardbench"] = benchmarks.rewardbench(accuracies)
    if form == rm_bench.FORMAT.name:
        found["rm_bench"] = benchmarks.rm_bench(
            (rating.pair.subset, rating.pair.cell, rating.scored.credit)
            for rating in ratings
            if rating.pair.cell is not None
        )
    return found


def left_out(reading: Reading, unratable: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What the file holds besides the pairs that were rated, each kind counted; rows by line where somebody should
    look at them."""
    return {
        "ties": reading.ties,
        "no_choice": reading.no_choice,
        "undecided": reading.undecided,
        "margins_lost": reading.margins_lost,
        "bad_rows": reading.bad_rows,
        "bad": reading.bad,
        "unratable": list(unratable),
    }
