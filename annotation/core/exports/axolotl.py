"""Rows for Axolotl: pairs for its chat templates (DPO and its kin), and single turns for its reward models.

Knows the fields of its two prompt strategies. Must not know other libraries.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from annotation.core.exports.base import ExportFormat, Row, UnfitError, checked_pair, turns, without_system
from annotation.core.records import PreferenceRecord

# Its strategy renders an answer after a stand-in for the user's turn and cuts before the first place where the
# answer's text occurs. A text that occurs earlier is cut in the wrong place without a word.
STAND_IN: Final = ("[[dummy_message]]", "system", "user", "assistant")


def pair_rows(record: PreferenceRecord) -> Iterator[Row]:
    chosen, rejected = checked_pair(record)
    if any(text in part for text in (chosen, rejected) for part in STAND_IN):
        raise UnfitError("an answer is empty or so short that Axolotl finds it in the chat template")
    yield {
        "messages": turns(record.messages),
        "chosen": {"role": "assistant", "content": chosen},
        "rejected": {"role": "assistant", "content": rejected},
        "id": record.id,
    }


def reward_rows(record: PreferenceRecord) -> Iterator[Row]:
    chosen, rejected = checked_pair(record)
    dialogue = without_system(record.messages)
    if len(dialogue) > 1:
        raise UnfitError("the dialogue has several turns, and Axolotl's reward models hold one")
    # Its strategy stops where there is no such column, and makes a system turn of it even where it is empty, which
    # only drop_system_message undoes: so nothing else can stand in it.
    yield {
        "system": "",
        "input": dialogue[0]["content"],
        "chosen": chosen,
        "rejected": rejected,
        "id": record.id,
    }


PAIRS: Final[ExportFormat[PreferenceRecord]] = ExportFormat(
    name="axolotl",
    title="Axolotl, preference (`type: chat_template.default`)",
    version=1,
    describe=(
        ("`messages`", "the dialogue as a list of `role` and `content`"),
        ("`chosen`, `rejected`", "one assistant message each"),
        ("`id`", "the record's `id`; passed over"),
    ),
    rows=pair_rows,
)
REWARD: Final[ExportFormat[PreferenceRecord]] = ExportFormat(
    name="axolotl-rm",
    title="Axolotl, reward model (`type: bradley_terry.chat_template`)",
    version=1,
    describe=(
        ("`system`", "empty: Axolotl asks for the column"),
        ("`input`", "the only user turn"),
        ("`chosen`, `rejected`", "the two answers as text"),
        ("`id`", "the record's `id`; passed over"),
    ),
    rows=reward_rows,
)
