"""Which pairs a reward model learns from: its own, and a share of the rest (sections 3.2.1 and 3.2.2).

Knows focuses and proportions. Must not know tokens, models or losses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from annotation.core.grades import Focus
from annotation.core.records import PreferenceRecord
from rewardmodel.core.report import Reporter


@dataclass(frozen=True, slots=True)
class Mixture:
    """The pairs to learn from, own ones first, and how many of each were there and were taken."""

    records: tuple[PreferenceRecord, ...]
    counts: dict[str, int]


def mix(records: Sequence[PreferenceRecord], *, focus: Focus, seed: int, report: Reporter) -> Mixture:
    """Draw the training mixture of `focus` from `records`, reproducibly and whatever their order.

    Helpfulness: all own pairs and an equal part of the rest, drawn uniformly. Safety: all own pairs, mixed
    90/10 with the rest. With no own pairs at all, everything else is used, and the reporter says so.
    """
    ordered = sorted(records, key=lambda record: record.id)
    own = [record for record in ordered if record.focus is focus]
    rest = [record for record in ordered if record.focus is not focus]
    wanted = _wanted_of_rest(focus, own=len(own), rest=len(rest))
    drawn = np.random.default_rng(seed).permutation(len(rest))[:wanted]
    taken = [rest[index] for index in sorted(drawn.tolist())]
    if not own and rest:
        report.note(
            f"There are no {focus} pairs. All {len(rest)} pairs of the other focus are used in their place."
        )
    counts = {"own": len(own), "other": len(taken), "other_available": len(rest)}
    return Mixture(records=(*own, *taken), counts=counts)


def _wanted_of_rest(focus: Focus, *, own: int, rest: int) -> int:
    if own == 0:
        return rest
    wanted = own if focus is Focus.HELPFULNESS else round(own / 9)  # own / 9 of the rest makes 90/10
    return min(wanted, rest)
