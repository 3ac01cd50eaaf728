"""Which export formats there are.

Knows the formats by name. Must not know their columns, files or the database.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from annotation.core.exports import (
    axolotl,
    hh_rlhf,
    judgments,
    llamafactory,
    native,
    openrlhf,
    rewardbench,
    trl,
)
from annotation.core.exports.base import ExportFormat
from annotation.core.records import PreferenceRecord

# Rows of aggregated comparisons.
EXPORTS: Final[Mapping[str, ExportFormat[PreferenceRecord]]] = MappingProxyType(
    {
        form.name: form
        for form in (
            native.FORMAT,
            trl.PREFERENCE,
            trl.PROMPT,
            trl.SFT,
            openrlhf.FORMAT,
            llamafactory.FORMAT,
            axolotl.PAIRS,
            axolotl.REWARD,
            hh_rlhf.FORMAT,
            rewardbench.FORMAT,
        )
    }
)
# All that a snapshot can be asked for; the last one has a row for each judgment.
NAMES: Final = (*EXPORTS, judgments.FORMAT.name)
