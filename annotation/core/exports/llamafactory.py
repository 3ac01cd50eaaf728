"""Rows for LLaMA-Factory: ShareGPT turns with a ranking, and the entry of dataset_info.json that names them.

Knows its tags and columns (its data/README.md). Must not know other libraries.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from annotation.core.exports.base import ExportFormat, Row, checked_pair, split_system
from annotation.core.records import PreferenceRecord

SPEAKERS: Final = {"user": "human", "assistant": "gpt"}
COLUMNS: Final = {
    "messages": "conversations",
    "system": "system",
    "chosen": "chosen",
    "rejected": "rejected",
}


def rows(record: PreferenceRecord) -> Iterator[Row]:
    chosen, rejected = checked_pair(record)
    system, dialogue = split_system(record.messages)
    yield {
        "conversations": [_turn(message["role"], message["content"]) for message in dialogue],
        "system": system,
        "chosen": _turn("assistant", chosen),
        "rejected": _turn("assistant", rejected),
        "id": record.id,
    }


def _turn(role: str, text: str) -> dict[str, str]:
    return {"from": SPEAKERS[role], "value": text}


def dataset_info(splits: Collection[str]) -> Mapping[str, str]:
    """The file dataset_info.json that makes `margin_<split>` a dataset of the folder it stands in."""
    entries: dict[str, Any] = {
        f"margin_{split}": {
            "file_name": f"{split}.jsonl",
            "formatting": "sharegpt",
            "ranking": True,
            "columns": COLUMNS,
        }
        for split in sorted(splits)
    }
    return {"dataset_info.json": json.dumps(entries, indent=2) + "\n"}


FORMAT: Final[ExportFormat[PreferenceRecord]] = ExportFormat(
    name="llama-factory",
    title="LLaMA-Factory",
    version=1,
    describe=(
        (
            "`conversations`",
            "the dialogue as `from` (`human` or `gpt`) and `value`, without the system message",
        ),
        ("`system`", "the system message; empty where there is none"),
        ("`chosen`, `rejected`", "one turn each, `from` `gpt`"),
        ("`id`", "the record's `id`; passed over"),
    ),
    rows=rows,
    beside=dataset_info,
)
