"""RewardBench's rows: a prompt, two replies and the models that gave them.

Knows its columns. Must not know pairs' order, ties or other formats.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from annotation.core.formats.base import Draft, Format
from annotation.core.formats.dialogues import replies
from annotation.core.formats.fields import Row
from annotation.core.formats.mappings import FocusMapping
from annotation.core.formats.pairs import draft, guess_focus

MAPPING_VERSION: Final = 1


def drafts(row: Row, said: FocusMapping) -> Iterator[Draft]:
    yield draft(row, said, replies(row), policies=(row.name("chosen_model"), row.name("rejected_model")))


FORMAT: Final = Format(
    name="rewardbench",
    title="RewardBench",
    version=MAPPING_VERSION,
    mapping=(
        ("`prompt`", "the dialogue: text that is its only user turn, or messages"),
        (
            "`chosen`, `rejected`",
            "the chosen response and the other: text, or messages with the dialogue in front, which then counts",
        ),
        ("`chosen_model`, `rejected_model`", "their policies"),
        ("`id`", "the reference"),
        (
            "`subset` and other columns",
            "left out; no grade, the focus is the one you name, the annotator unknown",
        ),
    ),
    drafts=drafts,
    shape=FocusMapping,
    guess=guess_focus,
)
