"""Answers that read nearly the same: found among the samples of one prompt, and among the winners of many.

Knows texts and the similarity that prompts are compared by (annotation.sketches: Jaccard of character runs, 0.8).
Must not know rewards, files or torch.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from annotation.sketches import THRESHOLD, Crowd, hashed, jaccard
from training.core.selection import first_equals


def first_alike(texts: Sequence[str]) -> list[int]:
    """For each text the index of the first that it is a near-duplicate of; its own where it is new.

    "First" are those that resemble none of the first before them; a text joins the earliest of these that it resembles.
    Being alike is not transitive, so the order matters, and it is the caller's: put the best first.
    """
    equal = first_equals(texts)
    distinct = sorted(set(equal))
    place = {index: number for number, index in enumerate(distinct)}
    sets = hashed([texts[index] for index in distinct])
    crowd = Crowd(sets)
    firsts = np.empty(len(distinct), dtype=np.intp)  # numbers of those that are new, ascending; `new` of them
    new = 0
    leader: list[int] = []
    for number, one in enumerate(sets):
        likely = crowd.resembling(number, firsts[:new])
        near = next((int(other) for other in likely if jaccard(one, sets[other]) >= THRESHOLD), None)
        leader.append(number if near is None else near)
        if near is None:
            firsts[new] = number
            new += 1
    return [distinct[leader[place[index]]] for index in equal]


def crowded(texts: Sequence[str], most: int) -> tuple[list[int], int]:
    """Indices of the texts to keep, and how many of all resemble one before them.

    At most `most` texts that are alike are kept, the first of them; with 0 all are. Put the best first.
    """
    seen: dict[int, int] = {}
    kept, repeated = [], 0
    for index, first in enumerate(first_alike(texts)):
        seen[first] = seen.get(first, 0) + 1
        repeated += seen[first] > 1
        if not most or seen[first] <= most:
            kept.append(index)
    return kept, repeated
