"""Rows for OpenRLHF's reward and DPO training, with its chat template switched on.

Knows the keys that its RewardDataset reads. Must not know other libraries.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from annotation.core.exports.base import ExportFormat, Row, answer, checked_pair, turns
from annotation.core.records import PreferenceRecord


def rows(record: PreferenceRecord) -> Iterator[Row]:
    chosen, rejected = checked_pair(record)
    # It adds the lists of prompt and answer before it applies the template: both must be lists.
    yield {
        "prompt": turns(record.messages),
        "chosen": answer(chosen),
        "rejected": answer(rejected),
        "margin": float(record.margin),
        "id": record.id,
    }


FORMAT: Final[ExportFormat[PreferenceRecord]] = ExportFormat(
    name="openrlhf",
    title="OpenRLHF",
    version=1,
    describe=(
        ("`prompt`", "the dialogue as a list of `role` and `content`: its `prompt_key`"),
        ("`chosen`, `rejected`", "each a list of one assistant message"),
        ("`margin`", "m(r) of Eq. 2 as a float in every row; used only when its margin loss is switched on"),
        ("`id`", "the record's `id`; passed over"),
    ),
    rows=rows,
)
