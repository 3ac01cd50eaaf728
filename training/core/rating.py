"""Raw rewards of many texts from one stored reward model, in parts that survive a kill and may be shared.

Knows prompts with texts, and where the parts stand. Must not know what the rewards are used for.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from annotation.core.records import Message
from rewardmodel.core import scorer
from rewardmodel.core.report import Reporter
from training.core.chunks import Plan, Row
from training.core.generate import release_memory
from training.core.job import Job
from training.core.selection import first_equals
from training.core.shards import Place, run_shared

RESPONSES_PER_CHUNK: Final = 64  # so much scoring is lost by a kill

Asked = tuple[Sequence[Message], Sequence[str]]  # a prompt and texts that answer it


class Rater:
    """One of the run's reward models, by the name of its input. Loaded when the first thing is left to score."""

    def __init__(self, job: Job, name: str) -> None:
        self._job = job
        self._name = name
        self._model: scorer.Scorer | None = None

    def rate(
        self, asked: Sequence[Asked], directory: Path, report: Reporter, place: Place
    ) -> list[list[float]]:
        """One list of raw rewards (before the sigmoid) a prompt, in the order of its texts.

        A text that repeats within a prompt is scored once. `directory` holds what is done already.
        """

        def compute(indices: Sequence[int]) -> list[Row]:
            return self._compute([asked[index] for index in indices])

        plan = plan_by_size([len(texts) for _, texts in asked])
        rows = run_shared(directory, plan, compute, report, "prompts", place)
        return [row["rewards"] for row in rows]

    def close(self) -> None:
        """Give the memory back: the next model needs it."""
        if self._model is not None:
            self._model = None
            release_memory()

    def _compute(self, asked: Sequence[Asked]) -> list[Row]:
        if self._model is None:
            reference: dict[str, Any] = self._job.file.inputs[self._name]
            self._model = scorer.load(reference, device=self._job.file.device)
        firsts = [first_equals(texts) for _, texts in asked]
        distinct = [
            (messages, [texts[index] for index in sorted(set(first))])
            for (messages, texts), first in zip(asked, firsts, strict=True)
        ]
        rewards = self._model.score(distinct)
        return [{"rewards": _spread(own, first)} for own, first in zip(rewards, firsts, strict=True)]


def plan_by_size(sizes: Sequence[int]) -> Plan:
    """Neighbouring prompts in chunks of at most RESPONSES_PER_CHUNK texts; a prompt that has more is one alone."""
    plan: list[list[int]] = []
    held = 0
    for index, size in enumerate(sizes):
        if not plan or held + size > RESPONSES_PER_CHUNK:
            plan.append([])
            held = 0
        plan[-1].append(index)
        held += size
    return plan


def _spread(rewards: Sequence[float], firsts: Sequence[int]) -> list[float]:
    """The reward of each text, from those of the distinct ones in order of first appearance."""
    of = dict(zip(sorted(set(firsts)), rewards, strict=True))
    return [of[first] for first in firsts]
