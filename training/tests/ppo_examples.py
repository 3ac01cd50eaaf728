"""Prompts, tastes and settings for tests of PPO."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from annotation.core.grades import Focus
from rewardmodel.core.backbone import PolicyRef, load_causal_lm, load_tokenizer
from rewardmodel.core.report import Silent
from training.core.batching import PromptEncoder
from training.core.ppo import Reinforcement
from training.core.ppo_experience import Group, Judges
from training.core.ppo_rollout import Prompt, read_prompts
from training.core.specs.ppo import PpoSpec
from training.core.value_head import ActorCritic, build_actor
from training.tests.jobs import write_lines

PAD, END = 256, 258  # <|endoftext|> and <|im_end|> of the tiny tokenizer
LIKED = "M"  # a letter that the tiny policy writes now and then
SMALL: dict[str, Any] = {
    "recipe": "full",
    "prompts": 12,
    "held_out": 3,
    "iterations": 4,
    "prompts_per_iteration": 8,
    "mini_batch": 4,
    "max_new_tokens": 6,
    "learning_rate": 1e-3,
    "measure_every": 2,
    "lora_rank": 2,
}


class Fond:
    """A reward model that likes a letter: four times its share of the answer."""

    def __init__(self, letter: str = LIKED) -> None:
        self.letter = letter

    def score(self, groups: Sequence[Group]) -> list[list[float]]:
        return [[4 * text.count(self.letter) / max(1, len(text)) for text in texts] for _, texts in groups]


class Always:
    """A reward model that says the same of everything."""

    def __init__(self, reward: float) -> None:
        self.reward = reward

    def score(self, groups: Sequence[Group]) -> list[list[float]]:
        return [[self.reward] * len(texts) for _, texts in groups]


class Curves(Silent):
    """A reporter that keeps what it is told."""

    def __init__(self) -> None:
        self.curves: dict[str, list[float]] = {}
        self.notes: list[str] = []

    def metric(self, name: str, value: float, step: int) -> None:
        self.curves.setdefault(name, []).append(value)

    def note(self, text: str) -> None:
        self.notes.append(text)


def lines(count: int = 12) -> list[dict[str, Any]]:
    """Prompts as a run reads them, every fourth one an adversarial one."""
    return [
        {
            "dialogue": f"d{number}",
            "messages": [{"role": "user", "content": f"Say {number}" + "!" * (number % 3)}],
            "focus": Focus.SAFETY if number % 4 == 3 else Focus.HELPFULNESS,
        }
        for number in range(count)
    ]


def prompts(tmp_path: Path, tiny: PolicyRef, count: int = 12) -> list[Prompt]:
    file = write_lines(tmp_path / "prompts.jsonl", lines(count))
    return read_prompts(file, partial(PromptEncoder(tiny, load_tokenizer(tiny)), max_new_tokens=6))


def actor_of(tiny: PolicyRef, recipe: str = "full", seed: int = 0) -> ActorCritic:
    spec = PpoSpec(**(SMALL | {"recipe": recipe}))
    model = load_causal_lm(tiny, torch.device("cpu"))
    return build_actor(model, spec.recipe, lora_rank=spec.lora_rank, pad=PAD, seed=seed)


def reinforcement(
    tmp_path: Path, tiny: PolicyRef, report: Silent, judges: Judges, **params: Any
) -> Reinforcement:
    """PPO of the tiny policy with judges of one's own."""
    spec = PpoSpec(**(SMALL | params))
    model = load_causal_lm(tiny, torch.device("cpu"))
    actor = build_actor(model, spec.recipe, lora_rank=spec.lora_rank, pad=PAD, seed=0)
    work = tmp_path / "work"
    work.mkdir(exist_ok=True)
    return Reinforcement(
        actor,
        load_tokenizer(tiny),
        judges,
        prompts(tmp_path, tiny, spec.prompts),
        spec,
        seed=1,
        work=work,
        report=report,
    )
