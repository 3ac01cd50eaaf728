"""Prompts become winners: the best of K samples by the reward models (section 3.2.3)."""

from __future__ import annotations

from typing import Any

from annotation.core.records import canonical_json
from rewardmodel.core.files import write_atomically
from rewardmodel.models import RewardModelVersion
from training.models import PolicyVersion, Run
from training.services.prompts import dialogues_of
from training.services.references import policy_reference, reward_model_reference


def prepare(run: Run) -> dict[str, Any]:
    lines = (
        canonical_json({"dialogue": d.key, "messages": d.messages, "focus": d.focus})
        for d in dialogues_of(run.inputs["prompts"])
    )
    path = run.folder / "prompts.jsonl"
    write_atomically(path, "".join(line + "\n" for line in lines))
    return {
        "policy": policy_reference(PolicyVersion.objects.get(pk=run.inputs["policy"])),
        "prompts": str(path),
        "helpfulness": reward_model_reference(RewardModelVersion.objects.get(pk=run.inputs["helpfulness"])),
        "safety": reward_model_reference(RewardModelVersion.objects.get(pk=run.inputs["safety"])),
    }


def collect(run: Run) -> None:
    """Winners and candidates stay in the run's folder; fine-tuning reads them there."""


def register(run: Run, data: None) -> None:
    """Nothing but the run's own result."""
