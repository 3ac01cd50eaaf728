"""What the tests of the import formats share: reading rows, and where files of published data may lie."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from annotation.core.formats.base import BadRow, ImportedJudgment, Item
from annotation.core.formats.registry import read

DATA = Path(__file__).parents[3] / "shared" / "data"


def read_json(form: str, *rows: Any, ties: Literal["skip", "unsure"] = "skip") -> list[Item]:
    return list(read((json.dumps(row) for row in rows), form=form, ties=ties))


def judgment(form: str, row: Any, ties: Literal["skip", "unsure"] = "skip") -> ImportedJudgment:
    """The only judgment of a row."""
    (item,) = read_json(form, row, ties=ties)
    assert isinstance(item, ImportedJudgment), item
    return item


def reason(form: str, row: Any) -> str:
    """Why a row is refused."""
    (item,) = read_json(form, row)
    assert isinstance(item, BadRow), item
    return item.reason


def chosen(item: Item) -> str:
    assert isinstance(item, ImportedJudgment), item
    return (item.response_a if item.choice == "a" else item.response_b).text


def other(item: Item) -> str:
    assert isinstance(item, ImportedJudgment), item
    return (item.response_b if item.choice == "a" else item.response_a).text


def prompt(item: Item) -> str:
    """The only turn of the dialogue."""
    assert isinstance(item, ImportedJudgment), item
    (message,) = item.messages
    assert message["role"] == "user"
    return message["content"]
