"""How far one version's rewards have moved from an earlier one's, of the same responses.

Knows two lists of scored pairs. Must not know models, versions or files.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rewardmodel.core.evaluation.intervals import share
from rewardmodel.core.evaluation.pairs import Floats, ScoredPair, in_order, mean, table_of


def drift(now: Sequence[ScoredPair], before: Sequence[ScoredPair]) -> dict[str, Any]:
    """What changed between two models, over the pairs that both scored (by the record's key).

    `correlation` (Pearson's) and `rank_correlation` (Spearman's) are over responses; None where one of the models
    gives all the same. `mean_shift` is now less before and `spread_ratio` the quotient of standard deviations, both
    in raw rewards: a constant added to all rewards is a shift, though it changes no preference. `flips` is the share
    of pairs on which the two prefer different responses (a tie against a preference is half a flip), with its
    interval; `gained` and `lost` are the pairs on which the new one does better or worse than the old one, and
    `accuracy_change` is the difference of their accuracies.
    """
    earlier = {pair.record.id: pair for pair in before}
    shared = [pair for pair in in_order(now) if pair.record.id in earlier]
    new = table_of(shared)
    old = table_of(in_order([earlier[pair.record.id] for pair in shared]))
    rewards = np.concatenate([new.chosen, new.rejected])
    others = np.concatenate([old.chosen, old.rejected])
    flips, low, high = share(np.abs(new.credit - old.credit), new.prompt)
    return {
        "pairs": len(shared),
        "only_now": len({pair.record.id for pair in now} - earlier.keys()),
        "only_before": len(earlier.keys() - {pair.record.id for pair in now}),
        "correlation": _correlation(rewards, others),
        "rank_correlation": _correlation(_ranks(rewards), _ranks(others)),
        "mean_shift": mean(rewards - others),
        "spread_ratio": _ratio(rewards, others),
        "flips": flips,
        "low": low,
        "high": high,
        "gained": int((new.credit > old.credit).sum()),
        "lost": int((new.credit < old.credit).sum()),
        "accuracy_change": mean(new.credit - old.credit),
    }


def _correlation(one: Floats, other: Floats) -> float | None:
    if not len(one) or np.ptp(one) == 0 or np.ptp(other) == 0:
        return None
    a, b = one - one.mean(), other - other.mean()
    below = float(np.sqrt((a**2).sum() * (b**2).sum()))
    return float(np.clip((a * b).sum() / below, -1, 1)) if below > 0 else None


def _ranks(values: Floats) -> Floats:
    """Places in order of size; equal values share the mean of theirs."""
    _, level, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return (ends - (counts - 1) / 2)[level]


def _ratio(now: Floats, before: Floats) -> float | None:
    if not len(now) or np.ptp(before) == 0:
        return None
    return float(now.std() / before.std())
