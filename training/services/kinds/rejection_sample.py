"""Prompts become winners: the best of K samples by the reward models (section 3.2.3)."""

from __future__ import annotations

import json
from typing import Any

from annotation.core.grades import Focus
from annotation.services.prompts import set_difficulties
from rewardmodel.models import RewardModelVersion
from training.core.selection import is_empty
from training.models import PolicyVersion, Run
from training.services.prompts import dialogues_of, write_prompts
from training.services.references import policy_reference, reward_model_reference

Rewards = dict[Focus, dict[str, list[float]]]  # by focus and prompt key


def prepare(run: Run) -> dict[str, Any]:
    return {
        "policy": policy_reference(PolicyVersion.objects.get(pk=run.inputs["policy"])),
        "prompts": write_prompts(run),
        "helpfulness": reward_model_reference(RewardModelVersion.objects.get(pk=run.inputs["helpfulness"])),
        "safety": reward_model_reference(RewardModelVersion.objects.get(pk=run.inputs["safety"])),
    }


def collect(run: Run) -> Rewards:
    """What each prompt's answers got from the reward model of its focus; empty answers say nothing of it.

    Winners and candidates stay in the run's folder; fine-tuning reads them there.
    """
    asked = {dialogue.key: dialogue for dialogue in dialogues_of(run.inputs["prompts"])}
    rewards: Rewards = {focus: {} for focus in Focus}
    with (run.folder / "output" / "candidates.jsonl").open(encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            dialogue = asked.get(row["dialogue"])
            if dialogue is not None and not is_empty(row["text"]):
                rewards[dialogue.focus].setdefault(dialogue.prompt, []).append(row[dialogue.focus])
    return rewards


def register(run: Run, data: Rewards) -> None:
    """How hard the prompts turned out to be for this policy."""
    for focus, rewards in data.items():
        judge = RewardModelVersion.objects.get(pk=run.inputs[focus])
        set_difficulties(rewards=rewards, reward_model=judge.name)
