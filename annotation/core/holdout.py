"""Which prompts of a batch are held out for testing (section 3.2.2).

Knows keys of prompts or clusters and how many examples each has. Must not know texts, storage or earlier batches.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from typing import Final

WEEKLY_HOLDOUT: Final = 1000


def target_size(examples: int, holdout: int = WEEKLY_HOLDOUT, largest_share: float = 0.1) -> int:
    """How many of a batch's examples to hold out: `holdout`, but no larger share than `largest_share`.

    The paper holds out 1,000 of every weekly batch (section 3.2.2), the smallest of which has 5,561 examples;
    the share keeps a small batch for training. From 10 examples on at least one is held out, below none.

    Raises:
        ValueError: a negative number, or a share outside 0 to 1.
    """
    if examples < 0 or holdout < 0:
        raise ValueError("examples and holdout count things and cannot be negative")
    if not 0 <= largest_share <= 1:
        raise ValueError(f"largest_share is {largest_share}: a share lies between 0 and 1")
    if examples < 10:
        return 0
    # 100 * 0.29 is a hair below 29.
    share = math.floor(examples * largest_share + 1e-9)
    return min(holdout, max(share, 1))


def draw(prompt_sizes: Mapping[str, int], *, seed: int, target: int) -> frozenset[str]:
    """Keys of prompts, or of clusters of near-duplicates, whose examples reach `target`; without the last one drawn
    they would not.

    `prompt_sizes` gives the examples of each. They are drawn whole, so that none stands on both sides, and in the
    order of a hash of seed and key: the order of the mapping does not matter, and one that is added later changes
    nobody's place. Those that alone have more than `target` examples come last, so that what is drawn stays below
    twice the target as long as there are smaller ones. One always remains for training, so the total falls short
    where that is the only one left.

    Raises:
        ValueError: a prompt with a negative number of examples.
    """
    if any(size < 0 for size in prompt_sizes.values()):
        raise ValueError("a prompt cannot have a negative number of examples")
    order = sorted(
        (key for key, size in prompt_sizes.items() if size),
        key=lambda key: (prompt_sizes[key] > target, _place(seed, key)),
    )
    drawn: set[str] = set()
    total = 0
    for key in order[:-1]:
        if total >= target:
            break
        drawn.add(key)
        total += prompt_sizes[key]
    return frozenset(drawn)


def _place(seed: int, key: str) -> bytes:
    return hashlib.sha256(f"holdout:{seed}:{key}".encode()).digest()
