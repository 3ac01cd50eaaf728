"""All figures of a reward model from its rewards: what it gets right, of which pairs, beside which baselines.

Knows the parts of this package and puts them together. Must not know models, files or plots.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import numpy as np

from annotation.core.grades import MarginTable
from annotation.core.records import PreferenceRecord
from rewardmodel.core.evaluation import slices
from rewardmodel.core.evaluation.baselines import baselines, words_credit
from rewardmodel.core.evaluation.calibration import calibration, spread
from rewardmodel.core.evaluation.intervals import difference
from rewardmodel.core.evaluation.pairs import Floats, ScoredPair, Table, in_order, mean, table_of
from rewardmodel.core.evaluation.thresholds import unsafe_found

# What is shown of a slice where there is little room.
SHORT: Final = ("accuracy", "low", "high", "pairs")
OTHERS: Final = ("against", "held_back")


def evaluate(
    own: Sequence[ScoredPair],
    other: Sequence[ScoredPair],
    *,
    train: Sequence[PreferenceRecord],
    split: Literal["train", "test"],
    margin_table: MarginTable,
    seed: int = 0,
) -> dict[str, Any]:
    """The figures of a reward model on its own focus and on the other, ready for JSON.

    `split` says which pairs `own` are: "train" where the snapshot holds none to test with, a figure that
    flatters. `train` are the pairs that the baselines learn from, those that the model learnt from; empty: there is
    no bag of words. The order of the pairs changes nothing; `seed` is that of resampling. A figure that cannot be
    told is None, never NaN. `loss` is the mean of Eq. 2. docs/evaluation.md has every field.

    Raises:
        RunFailedError: if a reward is no number.
    """
    own, other = in_order(own), in_order(other)
    words = words_credit(train, [pair.record for pair in [*own, *other]])
    here = table_of(own, None if words is None else words[: len(own)])
    there = table_of(other, None if words is None else words[len(own) :])
    beside = baselines(here, train)
    figures = {
        **_headline(here),
        "split": split,
        "loss": mean(_losses(own, margin_table)),
        "length_baseline": beside["length"]["accuracy"],
        "baselines": beside,
        "beyond": _beyond(here, seed),
        "by_grade": slices.by_grade(here),
        "by_batch": slices.by_batch(here),
        "by_focus": slices.by_focus(here),
        "by_turns": slices.by_turns(here),
        "by_length_difference": slices.by_length_difference(here),
        "other_focus": _elsewhere(there) if len(there) else None,
        "calibration": calibration(here, seed=seed),
        "spread": spread(here),
        "unsafe": unsafe_found([*own, *other]),
    }
    return {name: _finite(value) for name, value in figures.items()}


def summary(figures: Mapping[str, Any]) -> dict[str, Any]:
    """The few figures that stand in lists, manifests and answers of the API; the rest is in evaluation.json.

    What others measured is kept whole where they did: `against`, the comparison with an earlier version, and
    `held_back`, the watch on learning by heart.
    """
    other, found = figures["other_focus"], figures["unsafe"]
    return {
        **_short(figures),
        "by_grade": {grade: _short(one) for grade, one in figures["by_grade"].items()},
        "length_baseline": figures["length_baseline"],
        "bag_of_words_baseline": figures["bag_of_words"],
        "people": figures["people"],
        "other_focus": other
        and {**_short(other), "by_grade": {grade: _short(one) for grade, one in other["by_grade"].items()}},
        "split": figures["split"],
        "loss": figures["loss"],
        "calibration_error": figures["calibration"] and figures["calibration"]["ece"],
        "unsafe_recall": found and found["at"]["0.5"]["recall"],
        **{name: figures[name] for name in OTHERS if name in figures},
    }


def _headline(table: Table) -> dict[str, Any]:
    everything = np.ones(len(table), dtype=np.bool_)
    return {
        **slices.figure(table, everything),
        "prompts": len(np.unique(table.prompt)),
        "ties": int((table.difference == 0).sum()),
    }


def _elsewhere(table: Table) -> dict[str, Any]:
    return {**_headline(table), "by_grade": slices.by_grade(table), "by_batch": slices.by_batch(table)}


def _beyond(table: Table, seed: int) -> dict[str, Any]:
    """How much more often than each baseline the model is right, on the same pairs."""
    words = table.words
    return {
        "length": difference(table.credit, table.length, table.prompt, seed=seed),
        "bag_of_words": None if words is None else difference(table.credit, words, table.prompt, seed=seed),
    }


def _losses(pairs: Sequence[ScoredPair], table: MarginTable) -> Floats:
    """[N]: `log(1 + exp(-(r_c - r_r - m)))`, written so that no exponential overflows."""
    margins = np.array([pair.record.margin_under(table) for pair in pairs], dtype=np.float64)
    differences = np.array([pair.chosen - pair.rejected for pair in pairs], dtype=np.float64)
    return np.logaddexp(0.0, margins - differences)


def _short(figures: Mapping[str, Any]) -> dict[str, Any]:
    return {name: figures[name] for name in SHORT}


def _finite(value: Any) -> Any:
    """The value without NaN and infinity, which JSON does not have."""
    if isinstance(value, Mapping):
        return {name: _finite(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
