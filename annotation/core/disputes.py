"""How far apart people are on a pair.

Knows votes. Must not know people or what is done about it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from annotation.core.aggregate import Vote

LABELS_DIFFER: Final = 2  # steps: as far as "slightly better" is from being the other response's


def dispute_of(votes: Sequence[Vote]) -> int:
    """0 where all chose the same response and, if asked for, the same safety label. Else the steps on the scale of
    eight between the two votes furthest apart; choices without a grade are as far apart as two unsure ones."""
    chosen = len({vote.choice for vote in votes}) > 1
    labelled = len({vote.safety for vote in votes if vote.safety is not None}) > 1
    steps = [vote.step for vote in votes if vote.step is not None]
    apart = max(1, max(steps, default=0) - min(steps, default=0)) if chosen else 0
    return max(apart, LABELS_DIFFER if labelled else 0)
