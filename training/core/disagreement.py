"""What reward models say of one pair together: how much they doubt, and whether they go against each other.

Knows two rewards a model, raw as the models give them. Must not know models, files, queues or torch: what scores
pairs and what orders them ask here alike.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from annotation.core.allocation import doubt, rank_of


class Rewards(NamedTuple):
    """What one reward model gives the two responses of a pair."""

    a: float
    b: float

    @property
    def difference(self) -> float:
        return self.a - self.b


def at_odds(rewards: Collection[Rewards]) -> bool:
    """Whether two of the models prefer different responses. A model that cannot tell goes against none."""
    differences = [own.difference for own in rewards]
    return min(differences) < 0 < max(differences)


def rank_of_pair(rewards: Collection[Rewards]) -> int:
    """The pair's rank in the queue: by the doubts of the models, those that are at odds first."""
    return rank_of([doubt(own.difference) for own in rewards], at_odds=at_odds(rewards))
