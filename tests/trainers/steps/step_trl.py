"""One step with a trainer of TRL on a file of ours: `python step_trl.py KIND FILE MODEL OUT`.

Runs in an environment that has TRL and nothing of Margin. Writes what it saw to OUT/result.json.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset, load_dataset
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer
from trl import (
    DPOConfig,
    DPOTrainer,
    GRPOConfig,
    GRPOTrainer,
    RewardConfig,
    RewardTrainer,
    SFTConfig,
    SFTTrainer,
)

COMMON: dict[str, Any] = {
    "max_steps": 1,
    "use_cpu": True,
    "bf16": False,
    "report_to": [],
    "save_strategy": "no",
    "per_device_train_batch_size": 8,
    "learning_rate": 0.01,
}


def reward(data: Dataset, place: str, out: str) -> Any:
    model = AutoModelForSequenceClassification.from_pretrained(place, num_labels=1)
    return RewardTrainer(
        model, RewardConfig(out, **COMMON), train_dataset=data, processing_class=tokenizer(place)
    )


def dpo(data: Dataset, place: str, out: str) -> Any:
    model = AutoModelForCausalLM.from_pretrained(place)
    return DPOTrainer(
        model, args=DPOConfig(out, **COMMON), train_dataset=data, processing_class=tokenizer(place)
    )


def sft(data: Dataset, place: str, out: str) -> Any:
    model = AutoModelForCausalLM.from_pretrained(place)
    return SFTTrainer(model, SFTConfig(out, **COMMON), train_dataset=data, processing_class=tokenizer(place))


def grpo(data: Dataset, place: str, out: str) -> Any:
    """The reward of an answer is its share of vowels; the `id` of its row is given along."""

    def vowels(completions: list[Any], id: list[str], **_: Any) -> list[float]:  # noqa: A002  the column
        assert len(id) == len(completions)
        texts = [completion[0]["content"] for completion in completions]
        return [sum(letter in "aeiou" for letter in text) / (len(text) or 1) for text in texts]

    config = GRPOConfig(out, **COMMON, num_generations=4, max_completion_length=8, temperature=1.0)
    model = AutoModelForCausalLM.from_pretrained(place)
    return GRPOTrainer(
        model, reward_funcs=vowels, args=config, train_dataset=data, processing_class=tokenizer(place)
    )


def tokenizer(place: str) -> Any:
    return AutoTokenizer.from_pretrained(place)


def main(kind: str, file: str, place: str, out: str) -> None:
    data = load_dataset("json", data_files=file, split="train")
    if kind == "read":
        (Path(out) / "result.json").write_text(json.dumps(data.to_list(), default=str))
        return
    torch.manual_seed(0)
    trainer = {"reward": reward, "dpo": dpo, "sft": sft, "grpo": grpo}[kind](data, place, out)
    before = [parameter.detach().clone() for parameter in trainer.model.parameters()]
    seen: dict[str, Any] = {}
    original = trainer.compute_loss

    def watched(model: Any, inputs: Any, *rest: Any, **named: Any) -> Any:
        seen.update(margins=inputs["margin"].tolist() if "margin" in inputs else None)
        return original(model, inputs, *rest, **named)

    trainer.compute_loss = watched
    loss = trainer.train().training_loss
    changed = any(
        not torch.equal(old, new.detach())
        for old, new in zip(before, trainer.model.parameters(), strict=True)
    )
    result = {
        **seen,
        "rows": len(data),
        "kept": len(trainer.train_dataset),
        "loss": loss,
        "changed": changed,
        "steps": trainer.state.global_step,
    }
    (Path(out) / "result.json").write_text(json.dumps(result))


if __name__ == "__main__":
    main(*sys.argv[1:])
