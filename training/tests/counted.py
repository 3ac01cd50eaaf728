"""A rejection-sampling job with the tiny policy and two reward models that count characters."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from rewardmodel.core.backbone import PolicyRef
from rewardmodel.core.scorer import Group
from training.core import rating, rejection
from training.core.sample import draw
from training.core.spec import RunKind
from training.tests.jobs import MortalJob, make_job, write_lines

PARAMS: dict[str, Any] = {
    "samples_per_prompt": 2,
    "temperatures": [0.7, 1.3],
    "max_new_tokens": 6,
    "tokens_per_batch": 128,
}


class CountingScorer:
    """Helpfulness is the share of vowels; safety falls with every exclamation mark. Counts what it is given."""

    loaded: list[str] = []
    scored: dict[str, int] = {}

    def __init__(self, name: str) -> None:
        self.name = name
        self.loaded.append(name)

    def score(self, groups: Sequence[Group]) -> list[list[float]]:
        for _, texts in groups:
            self.scored[self.name] = self.scored.get(self.name, 0) + len(texts)
        return [[self._reward(text) for text in texts] for _, texts in groups]

    def _reward(self, text: str) -> float:
        if self.name == "safe":
            return 1.0 - 3.0 * text.count("!")
        return sum(letter in "aeiouAEIOU" for letter in text) - 0.01 * len(text)


def count_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reward models count; two prompts are scored at a time; no memory is collected, which takes longer than all that
    the tiny policy does."""
    CountingScorer.loaded, CountingScorer.scored = [], {}
    monkeypatch.setattr(
        "rewardmodel.core.scorer.load", lambda reference, *, device: CountingScorer(reference["name"])
    )
    monkeypatch.setattr(rating, "RESPONSES_PER_CHUNK", 8)
    monkeypatch.setattr("training.core.generate.release_memory", lambda: None)
    monkeypatch.setattr(rating, "release_memory", lambda: None)


def five_prompts(folder: Path) -> Path:
    return write_lines(folder / "prompts.jsonl", [prompt(number) for number in range(5)])


def prompt(number: int) -> dict[str, Any]:
    return {
        "dialogue": f"d{number}",
        "messages": [{"role": "user", "content": f"Question {number}?" * (1 + number % 2)}],
        "focus": "safety" if number == 4 else "helpfulness",
    }


def job_of(out: Path, tiny: PolicyRef, prompts: Path, dies_at: int | None = None, **params: Any) -> MortalJob:
    inputs = {
        "policy": tiny.to_json(),
        "prompts": str(prompts),
        "helpfulness": {"name": "kind", "path": "", "backbone": tiny.to_json()},
        "safety": {"name": "safe", "path": "", "backbone": tiny.to_json()},
    }
    return make_job(out, RunKind.REJECTION_SAMPLE, PARAMS | params, inputs, dies_at)


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().split("\n") if line]


def say(monkeypatch: pytest.MonkeyPatch, says: dict[str, str]) -> None:
    """Put words into the policy's mouth: the same ones for all samples of a dialogue."""

    def spoken(requests: Sequence[Any], *others: Any) -> list[dict[str, Any]]:
        rows = draw(requests, *others)
        for request, row in zip(requests, rows, strict=True):
            row["text"] = says.get(request.messages[-1]["content"], row["text"])
        return rows

    monkeypatch.setattr(rejection, "draw", spoken)
