"""Texts that somebody sent become rewards, in the order in which they were sent."""

from __future__ import annotations

from typing import Any

from annotation.core.records import canonical_json
from rewardmodel.core.files import write_lines_atomically
from rewardmodel.models import RewardModelVersion
from training.models import Run, ScoreItems
from training.services.references import reward_model_reference


def prepare(run: Run) -> dict[str, Any]:
    path = run.folder / "items.jsonl"
    write_lines_atomically(
        path, (canonical_json(item) + "\n" for item in ScoreItems.objects.get(run=run).data)
    )
    version = RewardModelVersion.objects.get(pk=run.inputs["reward_model"])
    return {"items": str(path), "reward_model": reward_model_reference(version)}


def collect(run: Run) -> None:
    """The rewards are the run's result."""


def register(run: Run, data: None) -> None:
    """Nothing is made of them here."""
