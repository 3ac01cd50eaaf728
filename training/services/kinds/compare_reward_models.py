"""Two reward models on the same test pairs become the figures that a promotion asks for."""

from __future__ import annotations

import json
from typing import Any

from annotation.models import Snapshot
from annotation.snapshots import local_folder
from rewardmodel.models import RewardModelVersion
from rewardmodel.services import store_comparison
from training.models import Run
from training.services.references import hashed_reward_model_reference


def prepare(run: Run) -> dict[str, Any]:
    version = RewardModelVersion.objects.get(pk=run.inputs["reward_model"])
    against = RewardModelVersion.objects.get(pk=run.inputs["against"])
    return {
        "candidate": hashed_reward_model_reference(version),
        "current": hashed_reward_model_reference(against),
        "focus": version.focus,
        "snapshot": str(local_folder(Snapshot.objects.get(pk=run.inputs["snapshot"]))),
    }


def collect(run: Run) -> dict[str, Any]:
    """The figures are the run's result."""
    figures: dict[str, Any] = json.loads((run.folder / "result.json").read_bytes())
    return figures


def register(run: Run, data: dict[str, Any]) -> None:
    store_comparison(
        version=RewardModelVersion.objects.get(pk=run.inputs["reward_model"]),
        against=RewardModelVersion.objects.get(pk=run.inputs["against"]),
        snapshot=Snapshot.objects.get(pk=run.inputs["snapshot"]),
        run=str(run.uid),
        figures=data,
    )
