"""Rows that RewardBench scores: its columns, with whole conversations as its loader of own files reads them.

Knows the columns of the benchmark (Lambert et al. 2024). Must not know other formats.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from annotation.core.exports.base import ExportFormat, Row, answer, checked_pair, turns, without_system
from annotation.core.records import PreferenceRecord


def rows(record: PreferenceRecord) -> Iterator[Row]:
    chosen, rejected = checked_pair(record)
    # It takes roles from positions: a system message would be read as the user's.
    dialogue = turns(without_system(record.messages))
    yield {
        "prompt": dialogue[-1]["content"],
        "chosen": dialogue + answer(chosen),
        "rejected": dialogue + answer(rejected),
        "chosen_model": record.chosen_policy,
        "rejected_model": record.rejected_policy,
        "subset": str(record.focus),
        "id": record.id,
    }


FORMAT: Final[ExportFormat[PreferenceRecord]] = ExportFormat(
    name="rewardbench",
    title="RewardBench",
    version=1,
    describe=(
        ("`prompt`", "the last user turn as text"),
        ("`chosen`, `rejected`", "all turns with the answer last, as lists of `role` and `content`"),
        ("`chosen_model`, `rejected_model`", "which policies answered; empty where it is unknown"),
        ("`subset`", "the focus"),
        ("`id`", "the record's `id`, a text"),
    ),
    rows=rows,
)
