"""The published format: one line of a snapshot, and the content keys that name things everywhere.

Knows the shape that trainers and data users read. Must not know the database or the file that holds it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypedDict

from annotation.core.grades import Focus, Grade, MarginTable, SafetyLabel, margin_of

SCHEMA_VERSION = 1

Split = Literal["train", "test"]


class Message(TypedDict):
    """One turn of a dialogue."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class PreferenceRecord:
    """One aggregated comparison: `messages` ends with a user turn, `chosen` and `rejected` answer it.

    `id`, `prompt` and `dialogue` are content keys; `judgments` counts the people behind the row and `weight`
    is the share of them who agree with the choice. `margin` is m(r) of Eq. 2 under the snapshot's table.
    """

    id: str
    prompt: str
    dialogue: str
    batch: str
    focus: Focus
    split: Split
    messages: tuple[Message, ...]
    chosen: str
    rejected: str
    grade: Grade | None
    margin: float
    safety: SafetyLabel | None
    judgments: int
    weight: float
    chosen_policy: str
    rejected_policy: str

    def to_line(self) -> str:
        """One canonical JSON line: sorted keys, no blanks, so that equal rows are equal bytes."""
        return canonical_json(asdict(self)) + "\n"

    def margin_under(self, table: MarginTable) -> float:
        """The m(r) under a table, whatever the row was written with; under OWN it is what the row says."""
        return self.margin if table is MarginTable.OWN else margin_of(self.grade, table)

    @classmethod
    def from_line(cls, line: str) -> PreferenceRecord:
        data = json.loads(line)
        data["focus"] = Focus(data["focus"])
        data["messages"] = tuple(data["messages"])
        data["grade"] = None if data["grade"] is None else Grade(data["grade"])
        data["safety"] = None if data["safety"] is None else SafetyLabel(data["safety"])
        return cls(**data)


def canonical_json(value: Any) -> str:
    """JSON that depends on the value alone, never on insertion order."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def content_key(kind: str, *parts: Any) -> str:
    """A name made from content: the same thing imported or generated twice has the same key.

    128 bits of SHA-256 as 32 hexadecimal digits; `kind` keeps equal contents of different kinds apart.
    """
    return hashlib.sha256(canonical_json([kind, *parts]).encode()).hexdigest()[:32]


def prompt_key(text: str) -> str:
    return content_key("prompt", text)


def dialogue_key(messages: Iterable[Message]) -> str:
    return content_key("dialogue", [[m["role"], m["content"]] for m in messages])
