"""Prompts become winners: the best of K samples by the reward models (section 3.2.3)."""

from __future__ import annotations

import json
from typing import Any

from annotation.core.grades import Focus
from annotation.errors import NotFoundError
from annotation.services.prompts import set_difficulties
from rewardmodel.models import RewardModelVersion
from training.core.selection import is_empty
from training.models import PolicyVersion, Run
from training.services.prompts import dialogues_of, write_prompts
from training.services.references import policy_reference, reward_model_reference

Rewards = dict[Focus, dict[str, list[float]]]  # by focus and prompt key


def prepare(run: Run) -> dict[str, Any]:
    """References, the prompts' file, and the winners of the rounds before, oldest first.

    Raises:
        NotFoundError: the winners of an earlier round are gone.
    """
    rounds = {one.pk: one for one in Run.objects.select_related("iteration").filter(pk__in=_rounds(run))}
    return {
        "policy": policy_reference(PolicyVersion.objects.get(pk=run.inputs["policy"])),
        "prompts": write_prompts(run),
        "helpfulness": reward_model_reference(RewardModelVersion.objects.get(pk=run.inputs["helpfulness"])),
        "safety": reward_model_reference(RewardModelVersion.objects.get(pk=run.inputs["safety"])),
        "bank": [{**_round(rounds[pk]), "file": _winners(rounds[pk])} for pk in _rounds(run) if pk in rounds],
        "round": _round(run),
    }


def _rounds(run: Run) -> list[int]:
    """Runs that were queued before there was a bank name none."""
    rounds: list[int] = run.inputs.get("rounds", [])
    return rounds


def _round(run: Run) -> dict[str, Any]:
    """By its key where it has one, which is the same in every house that does the same work."""
    return {"from": run.key or str(run.uid), "iteration": run.iteration.number if run.iteration else None}


def _winners(run: Run) -> str:
    path = run.folder / "output" / "winners.jsonl"
    if not path.is_file():
        raise NotFoundError(
            f"The winners of run {run.pk} are gone: {path}. Restore the file from a backup, or start without the bank."
        )
    return str(path)


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
