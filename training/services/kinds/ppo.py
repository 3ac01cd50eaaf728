"""A policy becomes the next one by reinforcement (section 3.2.3)."""

from __future__ import annotations

from typing import Any

from rewardmodel.models import RewardModelVersion
from training.models import PolicyVersion, Run
from training.services.policies import register_policy
from training.services.prompts import write_prompts
from training.services.references import policy_reference, read_output_manifest, reward_model_reference


def prepare(run: Run) -> dict[str, Any]:
    return {
        "name": run.inputs["name"],
        "policy": policy_reference(PolicyVersion.objects.get(pk=run.inputs["policy"])),
        "prompts": write_prompts(run),
        "helpfulness": reward_model_reference(RewardModelVersion.objects.get(pk=run.inputs["helpfulness"])),
        "safety": reward_model_reference(RewardModelVersion.objects.get(pk=run.inputs["safety"])),
    }


def collect(run: Run) -> tuple[dict[str, Any], str]:
    return read_output_manifest(run)


def register(run: Run, data: tuple[dict[str, Any], str]) -> None:
    """The new version; an adapter stands on the policy where it started, which then holds whole weights."""
    manifest, sha256 = data
    start = PolicyVersion.objects.get(pk=run.inputs["policy"])
    register_policy(
        name=run.inputs["name"],
        sha256=sha256,
        run=run,
        parent=start,
        adapter_on=start if manifest.get("adapter") else None,
    )
