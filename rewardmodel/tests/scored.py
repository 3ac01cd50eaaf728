"""Scored pairs for the tests of the evaluation."""

from __future__ import annotations

from itertools import count
from typing import Any

from annotation.core.grades import Grade
from rewardmodel.core.evaluate import ScoredPair
from rewardmodel.tests.examples import make_record

_NUMBER = count()


def scored(
    chosen: float,
    rejected: float,
    *,
    grade: Grade | None = None,
    lengths: tuple[int, int] = (1, 1),
    **fields: Any,
) -> ScoredPair:
    """A pair of a prompt of its own, with responses of these lengths."""
    texts = {"chosen": "a" * lengths[0], "rejected": "b" * lengths[1]}
    return ScoredPair(make_record(next(_NUMBER), grade=grade, **{**texts, **fields}), chosen, rejected)
