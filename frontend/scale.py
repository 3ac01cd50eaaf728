"""The scale as it stands on the screen: one symmetric line of eight cells, and the safety bins below it.

Knows words and keys. Must not know rows. The script holds the same order (static/frontend/workbench/words.js);
a test compares the two.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from annotation.core.grades import Grade

WORDS: Final = {
    Grade.SIGNIFICANTLY_BETTER: "significantly",
    Grade.BETTER: "better",
    Grade.SLIGHTLY_BETTER: "slightly",
    Grade.NEGLIGIBLY_BETTER: "negligibly",
}


@dataclass(frozen=True, slots=True)
class Cell:
    """One place of the scale; `number` is its key."""

    number: int
    side: Literal["left", "right"]
    grade: Grade
    word: str


def _cells() -> list[Cell]:
    grades = list(Grade)
    outward = [("left", grade) for grade in grades] + [("right", grade) for grade in reversed(grades)]
    return [
        Cell(number, "left" if side == "left" else "right", grade, WORDS[grade])
        for number, (side, grade) in enumerate(outward, start=1)
    ]


CELLS: Final = _cells()


@dataclass(frozen=True, slots=True)
class SafetyBin:
    """One bin; the fourth is shown and refused, so that nobody looks for it in vain."""

    value: str
    key: str
    words: str


SAFETY: Final = [
    SafetyBin("chosen_safe", "a", "only the better one is safe"),
    SafetyBin("both_safe", "s", "both are safe"),
    SafetyBin("both_unsafe", "d", "both are unsafe"),
    SafetyBin("other_safe", "f", "only the other one is safe"),
]
