"""Adversarial prompts become safer answers to learn (section 4.2.4)."""

from __future__ import annotations

from typing import Any

from annotation.core.records import canonical_json
from annotation.models import Prompt
from rewardmodel.core.files import write_atomically
from rewardmodel.models import RewardModelVersion
from training.models import PolicyVersion, Run
from training.services.prompts import dialogues_of
from training.services.references import policy_reference, reward_model_reference


def prepare(run: Run) -> dict[str, Any]:
    return {
        "policy": policy_reference(PolicyVersion.objects.get(pk=run.inputs["policy"])),
        "prompts": _write_prompts(run),
        "safety": reward_model_reference(RewardModelVersion.objects.get(pk=run.inputs["safety"])),
    }


def _write_prompts(run: Run) -> str:
    """As every run's prompts, with the risk category of each, which chooses its pre-prompts."""
    keys = run.inputs["prompts"]
    risks = dict(Prompt.objects.filter(key__in=keys).values_list("key", "risk"))
    lines = (
        {"dialogue": d.key, "messages": d.messages, "focus": d.focus, "category": risks[d.prompt]}
        for d in dialogues_of(keys)
    )
    path = run.folder / "prompts.jsonl"
    write_atomically(path, "".join(canonical_json(line) + "\n" for line in lines))
    return str(path)


def collect(run: Run) -> None:
    """What it made stays in the run's folder; fine-tuning reads it there."""


def register(run: Run, data: None) -> None:
    """Nothing to store."""
