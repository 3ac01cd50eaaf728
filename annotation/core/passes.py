"""Why a person passes a pair on unjudged: a skip, which says something of the person, or a flag, which says
something of the pair.

Knows reasons and what follows from them. Must not know rows or people.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class PassReason(StrEnum):
    """Skips first, flags after them."""

    NOT_MY_FIELD = "not_my_field"  # somebody else can judge it
    LANGUAGE = "language"  # in a language that this person does not read well
    RATHER_NOT = "rather_not"  # upsetting; nobody has to say why
    OTHER = "other"
    UNSAFE = "unsafe"  # should not be shown to people as it is
    BROKEN = "broken"  # empty, cut off, garbled, shown wrongly
    PERSONAL_DATA = "personal_data"  # names or describes a private person
    TOO_HARD = "too_hard"  # nobody can judge it without help

    @property
    def is_flag(self) -> bool:
        return self in FLAGS

    @property
    def withdraws(self) -> bool:
        """Whether nobody else is given the pair before a reviewer has looked."""
        return self in WITHDRAWING


FLAGS: Final = frozenset(
    {PassReason.UNSAFE, PassReason.BROKEN, PassReason.PERSONAL_DATA, PassReason.TOO_HARD}
)
WITHDRAWING: Final = FLAGS - {PassReason.TOO_HARD}
