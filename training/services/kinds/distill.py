"""Adversarial prompts become safer answers to learn (section 4.2.4)."""

from __future__ import annotations

from typing import Any

from rewardmodel.models import RewardModelVersion
from training.models import PolicyVersion, Run
from training.services.prompts import write_prompts
from training.services.references import policy_reference, reward_model_reference


def prepare(run: Run) -> dict[str, Any]:
    return {
        "policy": policy_reference(PolicyVersion.objects.get(pk=run.inputs["policy"])),
        "prompts": write_prompts(run),
        "safety": reward_model_reference(RewardModelVersion.objects.get(pk=run.inputs["safety"])),
    }


def collect(run: Run) -> None:
    """What it made stays in the run's folder; fine-tuning reads it there."""


def register(run: Run, data: None) -> None:
    """Nothing to store."""
