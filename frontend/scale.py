"""The scale as it stands on the screen: one symmetric line of eight cells, the safety bins below it, the reasons for
passing a pair on, and the keys for all of it.

Knows words and keys. Must not know rows. The script holds the same order and keys (static/frontend/workbench/words.js
and keys.js); a test compares them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _
from django_stubs_ext import StrOrPromise

from annotation.core.grades import Grade
from annotation.core.passes import PassReason

SHORT: Final[dict[Grade, StrOrPromise]] = {
    Grade.SIGNIFICANTLY_BETTER: _("significantly"),
    Grade.BETTER: _("better"),
    Grade.SLIGHTLY_BETTER: _("slightly"),
    Grade.NEGLIGIBLY_BETTER: _("negligibly"),
}
WHOLE: Final[dict[Grade, StrOrPromise]] = {
    Grade.SIGNIFICANTLY_BETTER: _("Response {n} is significantly better"),
    Grade.BETTER: _("Response {n} is better"),
    Grade.SLIGHTLY_BETTER: _("Response {n} is slightly better"),
    Grade.NEGLIGIBLY_BETTER: _("Response {n} is negligibly better, or you are unsure"),
}


@dataclass(frozen=True, slots=True)
class Cell:
    """One place of the scale, counted from 1 on the left."""

    number: int
    side: Literal["left", "right"]
    grade: Grade
    word: StrOrPromise
    label: StrOrPromise

    @property
    def action(self) -> str:
        return f"choose-{self.number}"


def _cells() -> list[Cell]:
    grades = list(Grade)
    return [_cell(n, "left", grade) for n, grade in enumerate(grades, start=1)] + [
        _cell(n, "right", grade) for n, grade in enumerate(reversed(grades), start=1 + len(grades))
    ]


def _cell(number: int, side: Literal["left", "right"], grade: Grade) -> Cell:
    label = format_lazy(WHOLE[grade], n=1 if side == "left" else 2)
    return Cell(number, side, grade, SHORT[grade], label)


CELLS: Final = _cells()


@dataclass(frozen=True, slots=True)
class SafetyBin:
    """One bin; the fourth is shown and refused, so that nobody looks for it in vain."""

    value: str
    action: str
    words: StrOrPromise


SAFETY: Final = [
    SafetyBin("chosen_safe", "safety-1", _("only the better one is safe")),
    SafetyBin("both_safe", "safety-2", _("both are safe")),
    SafetyBin("both_unsafe", "safety-3", _("both are unsafe")),
    SafetyBin("other_safe", "", _("only the other one is safe")),
]

REASONS: Final[dict[PassReason, StrOrPromise]] = {
    PassReason.NOT_MY_FIELD: _("Not my field"),
    PassReason.LANGUAGE: _("Not a language that I read well"),
    PassReason.RATHER_NOT: _("I would rather not read it"),
    PassReason.OTHER: _("Another reason"),
    PassReason.UNSAFE: _("Unsafe: nobody should be shown this"),
    PassReason.BROKEN: _("Broken: empty, cut off or garbled"),
    PassReason.PERSONAL_DATA: _("Personal data of a private person"),
    PassReason.TOO_HARD: _("Too hard to judge without help"),
}


@dataclass(frozen=True, slots=True)
class Action:
    """Something that a key does."""

    name: str
    key: str
    words: StrOrPromise


ACTIONS: Final = [
    *(Action(cell.action, str(cell.number), cell.label) for cell in CELLS),
    Action("previous", "ArrowLeft", _("One step towards Response 1")),
    Action("next", "ArrowRight", _("One step towards Response 2")),
    Action("safety-1", "a", _("Safety: only the better one")),
    Action("safety-2", "s", _("Safety: both")),
    Action("safety-3", "d", _("Safety: neither")),
    Action("submit", "Enter", _("Submit, or show a covered pair")),
    Action("undo", "u", _("Undo: take back what you said last")),
    Action("comment", "c", _("Write a comment; Esc leaves it, Shift ⏎ is a new line")),
    Action("skip", "k", _("Skip the pair, with a reason")),
    Action("flag", "x", _("Flag the pair")),
    Action("guidelines", "g", _("Open or close the guidelines")),
    Action("difference", "w", _("Mark the words that differ")),
    Action("help", "?", _("Keys and settings")),
]
KEY_NAMES: Final = {"Enter": "⏎", "ArrowLeft": "←", "ArrowRight": "→"}
