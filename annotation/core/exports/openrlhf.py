"""Rows for OpenRLHF's reward and DPO training, with its chat template switched on.

Knows the keys that its RewardDataset reads. Must not know other libraries.
"""

from __future__ import annotations

from typing import Final

from annotation.core.exports.base import ExportFormat, message_rows
from annotation.core.records import PreferenceRecord

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
    rows=message_rows,  # it adds the lists before it applies the template: both must be lists
)
