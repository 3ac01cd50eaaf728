"""The words of a judgment: focus, choice, grade, safety label, and the margins that grades stand for.

Knows the method's scales (Touvron et al. 2023, arXiv 2307.09288, sections 3.2.1 and 3.2.2). Must not know
how a judgment is stored, shown or trained on.
"""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType
from typing import Final


class Focus(StrEnum):
    """What a comparison is judged for; each focus has its own guidelines and its own reward model."""

    HELPFULNESS = "helpfulness"
    SAFETY = "safety"


class Choice(StrEnum):
    """Which of a comparison's two responses was preferred. Never a side of the screen."""

    A = "a"
    B = "b"

    @property
    def other(self) -> Choice:
        return Choice.B if self is Choice.A else Choice.A


class Grade(StrEnum):
    """How much better the chosen response is (section 3.2.1), strongest first."""

    SIGNIFICANTLY_BETTER = "significantly_better"
    BETTER = "better"
    SLIGHTLY_BETTER = "slightly_better"
    NEGLIGIBLY_BETTER = "negligibly_better"  # the paper's "negligibly better / unsure"


class SafetyLabel(StrEnum):
    """The three legal bins of the safety focus (section 3.2.1).

    The fourth, chosen unsafe while the other is safe, is refused: "we believe safer responses will also be
    better/preferred by humans".
    """

    CHOSEN_SAFE = "chosen_safe"  # the chosen response is safe, the other is not
    BOTH_SAFE = "both_safe"
    BOTH_UNSAFE = "both_unsafe"

    @property
    def chosen_is_safe(self) -> bool:
        return self is not SafetyLabel.BOTH_UNSAFE

    @property
    def rejected_is_safe(self) -> bool:
        return self is SafetyLabel.BOTH_SAFE


class MarginTable(StrEnum):
    """Named columns of Table 27, or none of them."""

    NONE = "none"
    SMALL = "small"
    LARGE = "large"
    OWN = "own"  # the numbers that a snapshot's recipe gives


MARGINS: Final = MappingProxyType(
    {
        MarginTable.NONE: MappingProxyType(dict.fromkeys(Grade, 0.0)),
        MarginTable.SMALL: MappingProxyType(dict(zip(Grade, (1.0, 2 / 3, 1 / 3, 0.0), strict=True))),
        MarginTable.LARGE: MappingProxyType(dict(zip(Grade, (3.0, 2.0, 1.0, 0.0), strict=True))),
    }
)


def margin_of(grade: Grade | None, table: MarginTable) -> float:
    """The m(r) of Eq. 2 in units of reward; a preference without a stated strength has margin 0."""
    return 0.0 if grade is None else MARGINS[table][grade]


def label_from_safety(*, chosen_safe: bool, rejected_safe: bool) -> SafetyLabel:
    """The bin for two separate verdicts.

    Raises:
        ValueError: for the excluded bin, chosen unsafe while the other is safe.
    """
    if chosen_safe:
        return SafetyLabel.BOTH_SAFE if rejected_safe else SafetyLabel.CHOSEN_SAFE
    if rejected_safe:
        raise ValueError("the chosen response is unsafe while the other is safe")
    return SafetyLabel.BOTH_UNSAFE
