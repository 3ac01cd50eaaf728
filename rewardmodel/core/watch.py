"""An early warning on overfitting: some training pairs are not learnt from, and their loss is looked at on the way.

Knows how pairs are put aside, points of two curves, and when one rises while the other falls. Must not know models.

Test pairs would do the same better, but a model that was stopped or tuned by them could no longer be tested with them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypedDict

import numpy as np

SHARE: Final = 0.05  # of the pairs
MOST: Final = 512  # pairs; more would cost time and tell little
FEWEST: Final = 32  # pairs; fewer tell nothing, and are not taken from 640 or less
LOOKS: Final = 4  # times in one epoch, and two more for each further one
BEYOND_NOISE: Final = 2.0  # standard errors of the paired differences


class Point(TypedDict):
    """One look.

    Attributes:
        step: steps done.
        train: mean loss of the steps since the last look.
        held: the loss of each pair put aside.
    """

    step: int
    train: float
    held: list[float]


def put_aside(prompts: Sequence[Hashable], seed: int) -> list[int]:
    """Numbers of the pairs not to learn from, ascending; whole prompts, drawn by `seed`; none where pairs are few.

    `prompts` names the prompt of each pair: a pair whose prompt was learnt from would hide what is to be found.
    """
    room = min(MOST, int(SHARE * len(prompts)))
    if room < FEWEST:
        return []
    members: dict[Hashable, list[int]] = {}
    for number, prompt in enumerate(prompts):
        members.setdefault(prompt, []).append(number)
    taken: list[int] = []
    groups = list(members.values())
    for index in np.random.default_rng([seed, 0x5EED]).permutation(len(groups)).tolist():
        if len(taken) + len(groups[index]) <= room:
            taken += groups[index]
    return sorted(taken) if len(taken) >= FEWEST else []


def looks(steps: int, epochs: int) -> frozenset[int]:
    """After which of the steps, counted from 1, the held pairs are looked at; the last is among them."""
    wanted = LOOKS + 2 * (epochs - 1)
    return frozenset(math.ceil(steps * number / wanted) for number in range(1, wanted + 1))


@dataclass
class Watch:
    """What was seen so far; it survives a kill as text within the checkpoint."""

    points: list[Point] = field(default_factory=list)
    since: list[float] = field(default_factory=list)  # losses of the steps since the last look

    @classmethod
    def from_text(cls, text: str | None) -> Watch:
        return cls() if text is None else cls(**json.loads(text))

    def to_text(self) -> str:
        return json.dumps({"points": self.points, "since": self.since})

    def learnt(self, loss: float) -> None:
        """A step was done."""
        self.since.append(loss)

    def look(self, step: int, held: Sequence[float]) -> None:
        """The held pairs were looked at after `step` steps."""
        self.points.append(Point(step=step, train=float(np.mean(self.since)), held=list(held)))
        self.since = []

    @property
    def overfits(self) -> bool:
        """The held pairs' loss has risen since its lowest look, beyond noise, while the training loss fell."""
        if len(self.points) < 2:
            return False
        last = self.points[-1]
        best = min(self.points, key=lambda point: float(np.mean(point["held"])))
        rise = np.array(last["held"]) - np.array(best["held"])
        error = float(rise.std(ddof=1)) / math.sqrt(len(rise)) if len(rise) > 1 else math.inf
        return bool(rise.mean() > BEYOND_NOISE * error) and last["train"] < best["train"]

    def figures(self) -> dict[str, Any]:
        """For a report: pairs put aside, both curves, and whether the model overfits at the end."""
        curve = [
            {"step": point["step"], "train": point["train"], "held": float(np.mean(point["held"]))}
            for point in self.points
        ]
        pairs = len(self.points[0]["held"]) if self.points else 0
        return {"pairs": pairs, "curve": curve, "overfits": self.overfits}
