"""Small snapshots for the tests of this app's core: preferences that a model can learn."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from annotation.core.grades import Focus, Grade, SafetyLabel
from annotation.core.records import Message, PreferenceRecord, Split, content_key, dialogue_key, prompt_key

KIND = ("Sure, with pleasure!", "Gladly, here it is.", "Of course, my friend.", "Yes, let me help you.")
RUDE = ("No.", "Go away, you fool!!", "I hate this question.", "Shut up, will you?")


def make_record(
    number: int = 0,
    *,
    focus: Focus = Focus.HELPFULNESS,
    split: Split = "train",
    chosen: str | None = None,
    rejected: str | None = None,
    messages: Sequence[Message] | None = None,
    grade: Grade | None = Grade.BETTER,
    safety: SafetyLabel | None = None,
    weight: float = 1.0,
    margin: float = 0.0,
) -> PreferenceRecord:
    """A friendly answer chosen over an unfriendly one, told apart by `number`."""
    asked: Sequence[Message] = messages or [{"role": "user", "content": f"Question {number}?"}]
    chosen = KIND[number % len(KIND)] if chosen is None else chosen
    rejected = RUDE[number // 2 % len(RUDE)] if rejected is None else rejected
    return PreferenceRecord(
        id=content_key("comparison", number, focus, split, chosen, rejected),
        prompt=prompt_key(asked[0]["content"]),
        dialogue=dialogue_key(asked),
        batch="week-01",
        focus=focus,
        split=split,
        messages=tuple(asked),
        chosen=chosen,
        rejected=rejected,
        grade=grade,
        margin=margin,
        safety=safety,
        judgments=1,
        weight=weight,
        chosen_policy="V1",
        rejected_policy="V0",
    )


def write_snapshot(directory: Path, records: Sequence[PreferenceRecord]) -> Path:
    """A snapshot's directory as the web side writes it."""
    directory.mkdir(parents=True)
    data = "".join(record.to_line() for record in records).encode()
    (directory / "data.jsonl").write_bytes(data)
    manifest: dict[str, Any] = {"name": directory.name, "sha256": hashlib.sha256(data).hexdigest()}
    (directory / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return directory


class Notes:
    """A reporter that remembers what it was told."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.stages: list[str] = []
        self.metrics: list[tuple[str, float, int]] = []

    def progress(self, done: int, total: int, unit: str) -> None:
        assert 0 <= done <= total
        assert unit

    def stage(self, name: str) -> None:
        self.stages.append(name)

    def metric(self, name: str, value: float, step: int) -> None:
        self.metrics.append((name, value, step))

    def note(self, text: str) -> None:
        self.notes.append(text)

    def check(self) -> None: ...
