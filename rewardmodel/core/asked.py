"""Texts that somebody asks a reward model about: what of them can be read, and complaints that name the place.

Shared by the run that scores and by the resident scorer, so that both refuse the same. Must not know where the texts
come from or where the rewards go.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, Protocol

from jinja2 import TemplateError

from rewardmodel.core.rows import Row
from rewardmodel.core.scorer import Group

LONGEST_ROW: Final = 16_384  # tokens; the memory that attention takes grows with the square


class AskedError(Exception):
    """These texts cannot be rated; the message names the one at fault and is shown to whoever asked."""


class Rewarder(Protocol):
    """The part of `rewardmodel.core.scorer.Scorer` that answers."""

    def encode(self, group: Group) -> list[Row]: ...

    def rewards(self, groups: Sequence[Sequence[Row]]) -> list[list[float]]: ...


def encode_all(rewarder: Rewarder, groups: Sequence[Group]) -> list[list[Row]]:
    """The rows of every group.

    Raises:
        AskedError: the model's chat template does not take a dialogue, or a row is too long.
    """
    return [_encoded(rewarder, number, group) for number, group in enumerate(groups)]


def _encoded(rewarder: Rewarder, number: int, group: Group) -> list[Row]:
    try:
        rows = rewarder.encode(group)
    except (ValueError, TemplateError) as error:
        reason = f"the model's chat template does not take this dialogue: {error}"
        raise AskedError(f"items[{number}]: {reason}.") from error
    for index, row in enumerate(rows):
        if len(row.tokens) > LONGEST_ROW:
            raise AskedError(
                f"items[{number}].responses[{index}]: dialogue and response are {len(row.tokens):,} tokens; "
                f"at most {LONGEST_ROW:,} can be rated. Shorten the response or the last turn."
            )
    return rows


def check_numbers(rewards: Sequence[Sequence[float]]) -> None:
    """Refuse what is no number.

    Raises:
        AskedError: the model gave infinity or NaN.
    """
    for number, group in enumerate(rewards):
        for index, reward in enumerate(group):
            if not math.isfinite(reward):
                raise AskedError(f"items[{number}].responses[{index}]: the model gave no number for it.")
