"""Cross-validation of methods: every pair is tried once by a head that has not seen its group, and paired differences.

Knows methods, folds and credits. Must not know features, text or files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bench.experiments.folds import FloatArray, IntArray, by_group, credits_of, folds_of, spread
from bench.experiments.probes import Method

FOLDS = 5
INNER_FOLDS = 3


def cross_validate(method: Method, folds: IntArray) -> FloatArray:
    """Credits of all pairs, shape [pairs], each by what was learnt from the other folds."""
    found = np.zeros(len(folds), dtype=np.float64)
    for fold in np.unique(folds):
        test = np.flatnonzero(folds == fold)
        found[test] = credits_of(method(np.flatnonzero(folds != fold), test))
    return found


def chosen_within(methods: Mapping[str, Method], groups: Sequence[str]) -> tuple[Method, list[str]]:
    """A method that picks the best of `methods` by cross-validation within the pairs it learns from.

    Nothing of the pairs that are tried enters the choice. The list fills with the names that were picked.
    """
    picked: list[str] = []

    def method(train: IntArray, test: IntArray) -> FloatArray:
        inner = folds_of([groups[index] for index in train], INNER_FOLDS, seed=0)
        accuracy = {name: _inner(one, train, inner) for name, one in methods.items()}
        best = max(accuracy, key=lambda name: accuracy[name])
        picked.append(best)
        return methods[best](train, test)

    return method, picked


def _inner(method: Method, train: IntArray, folds: IntArray) -> float:
    right = [
        credits_of(method(train[folds != fold], train[folds == fold])).sum() for fold in np.unique(folds)
    ]
    return float(sum(right)) / len(train)


def repeated(method: Method, groups: Sequence[str], repeats: int) -> FloatArray:
    """Credits, shape [repeats, pairs], under as many ways to fall into folds."""
    return np.stack([cross_validate(method, folds_of(groups, FOLDS, seed)) for seed in range(repeats)])


def described(right: FloatArray, groups: Sequence[str]) -> dict[str, Any]:
    """Accuracy of credits [repeats, pairs]: mean with interval over groups, and spread over the first folds."""
    mean = by_group(right.mean(axis=0), groups)
    return {**mean.to_json(), **spread(right[0], folds_of(groups, FOLDS, 0))}


def compared(one: FloatArray, other: FloatArray, groups: Sequence[str]) -> dict[str, float]:
    """How much more often `one` is right than `other` on the same pairs, with interval over groups."""
    return by_group(one.mean(axis=0) - other.mean(axis=0), groups).to_json()
