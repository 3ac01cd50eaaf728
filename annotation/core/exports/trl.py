"""Rows for TRL's trainers, in its conversational forms: preference, prompt only, and messages.

Knows the columns that TRL looks for (huggingface.co/docs/trl/dataset_formats). Must not know other libraries.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from typing import Final

from annotation.core.exports.base import ExportFormat, Row, UnfitError, answer, message_rows, turns
from annotation.core.grades import SafetyLabel
from annotation.core.records import PreferenceRecord


def prompt_rows(record: PreferenceRecord) -> Iterator[Row]:
    yield {"prompt": turns(record.messages), "id": record.dialogue}


def sft_rows(record: PreferenceRecord) -> Iterator[Row]:
    if record.safety is SafetyLabel.BOTH_UNSAFE:
        raise UnfitError("the chosen answer is unsafe and not to be imitated")
    if not record.chosen.strip():
        raise UnfitError("the chosen answer is empty")
    yield {"messages": turns(record.messages) + answer(record.chosen), "id": record.id}


def _answer_key(record: PreferenceRecord) -> str:
    return sha256(f"{record.dialogue}\n{record.chosen}".encode()).hexdigest()[:32]


PREFERENCE: Final[ExportFormat[PreferenceRecord]] = ExportFormat(
    name="trl-preference",
    title="TRL, preference",
    version=1,
    describe=(
        ("`prompt`", "the dialogue as a list of `role` and `content`; a system message stands first"),
        ("`chosen`, `rejected`", "each a list of one assistant message"),
        ("`margin`", "m(r) of Eq. 2 as a float in every row; 0.0 where there is no grade"),
        ("`id`", "the record's `id`; TRL passes over it"),
    ),
    rows=message_rows,
)
PROMPT: Final[ExportFormat[PreferenceRecord]] = ExportFormat(
    name="trl-prompt",
    title="TRL, prompt only",
    version=1,
    describe=(
        (
            "`prompt`",
            "the dialogue as a list of `role` and `content`, ending with the user; each once a file",
        ),
        ("`id`", "the dialogue's content key; reward functions are given it"),
    ),
    rows=prompt_rows,
    once=lambda record: record.dialogue,
)
SFT: Final[ExportFormat[PreferenceRecord]] = ExportFormat(
    name="trl-sft",
    title="TRL, supervised fine-tuning",
    version=1,
    describe=(
        ("`messages`", "the dialogue, and the chosen answer as the last message; the same text once a file"),
        ("`id`", "the `id` of the first record with this answer; TRL passes over it"),
    ),
    rows=sft_rows,
    once=_answer_key,
)
