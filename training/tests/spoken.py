"""A policy whose words are made up: what it says is a function of what it is asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from rewardmodel.core.backbone import PolicyRef
from training.core.decoding import FinishReason
from training.core.generate import SILENT, Request, Sample
from training.core.spec import RunKind
from training.tests.jobs import MortalJob, make_job, write_lines

Says = Callable[[Request], str | tuple[str, FinishReason]]


class Spoken:
    """Draws two requests a chunk; keeps what it was asked and how often it was closed."""

    def __init__(self, says: Says) -> None:
        self.says = says
        self.asked: list[Request] = []
        self.closed = 0

    def plan(self, requests: Sequence[Request]) -> list[list[int]]:
        numbers = list(range(len(requests)))
        return [numbers[start : start + 2] for start in range(0, len(numbers), 2)]

    def generate(self, requests: Sequence[Request], reporter: Any = SILENT) -> list[Sample]:
        self.asked += requests
        return [self._sample(request) for request in requests]

    def close(self) -> None:
        self.closed += 1

    def _sample(self, request: Request) -> Sample:
        said = self.says(request)
        text, reason = said if isinstance(said, tuple) else (said, "stop")
        return Sample(text, len(text.split()), reason, 0.0)


def speak(monkeypatch: pytest.MonkeyPatch, says: Says) -> Spoken:
    """Let every run's policy say what `says` makes of a request."""
    policy = Spoken(says)
    monkeypatch.setattr("training.core.dialogue_rounds.generators", lambda job, spec: lambda ref: policy)
    return policy


def prompt(number: int, focus: str = "helpfulness", **more: Any) -> dict[str, Any]:
    return {
        "dialogue": f"d{number}",
        "messages": [{"role": "user", "content": f"Question {number}?"}],
        "focus": focus,
        **more,
    }


def dialogue_job(
    out: Path,
    kind: RunKind,
    policy: PolicyRef,
    prompts: Sequence[dict[str, Any]],
    dies_at: int | None = None,
    **params: Any,
) -> MortalJob:
    """A job of the kinds that make dialogues; the prompts lie beside its folder."""
    path = write_lines(out.parent / f"{out.name}-prompts.jsonl", list(prompts))
    inputs = {
        "policy": policy.to_json(),
        "prompts": str(path),
        "safety": {"name": "safe", "path": "", "backbone": policy.to_json()},
    }
    return make_job(out, kind, params, inputs, dies_at)
