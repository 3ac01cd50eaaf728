"""What the token tree is measured against: TRL's RewardTrainer, and rows of like length side by side."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from typing import Any

import torch
from datasets import Dataset
from transformers import PreTrainedTokenizerBase
from trl.trainer.reward_config import RewardConfig
from trl.trainer.reward_trainer import RewardTrainer

from rewardmodel.core.network import RewardNetwork
from rewardmodel.core.rows import Row

PAIRS_A_BATCH = 8


def trl_step(
    model: Any,
    pairs: Sequence[tuple[Row, Row]],
    tokenizer: PreTrainedTokenizerBase,
    *,
    grouped: bool,
    learning_rate: float,
    clip: float,
) -> Callable[[], tuple[float, float]]:
    """One optimiser step of TRL over all pairs, ready to go; it returns the loss and the gradient's norm."""
    data = Dataset.from_dict(
        {"chosen_ids": [list(a.tokens) for a, _ in pairs], "rejected_ids": [list(b.tokens) for _, b in pairs]}
    )
    settings = RewardConfig(
        output_dir=tempfile.mkdtemp(),
        per_device_train_batch_size=PAIRS_A_BATCH,
        gradient_accumulation_steps=len(pairs) // PAIRS_A_BATCH,
        num_train_epochs=1,
        learning_rate=learning_rate,
        lr_scheduler_type="constant",
        max_grad_norm=clip,
        optim="adamw_torch",
        max_length=None,
        bf16=False,
        activation_checkpointing=False,
        use_cpu=True,
        logging_steps=1,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        seed=0,
    )
    trainer: Any = RewardTrainer(model=model, args=settings, train_dataset=data, processing_class=tokenizer)
    if (
        grouped
    ):  # sorted, the best that grouping can do; the trainer's own switch finds no lengths in a set of pairs
        order = sorted(range(len(pairs)), key=lambda n: -max(len(row.tokens) for row in pairs[n]))
        trainer._get_train_sampler = lambda *_: order

    def step() -> tuple[float, float]:
        trainer.train()
        logged = next(entry for entry in trainer.state.log_history if "grad_norm" in entry)
        return float(logged["loss"]), float(logged["grad_norm"])

    return step


def grouped_rewards(network: RewardNetwork, rows: Sequence[Row], *, rows_a_batch: int) -> list[float]:
    """Rewards of rows read alone, rows of like length together and filled up on the right."""
    rewards = [0.0] * len(rows)
    order = sorted(range(len(rows)), key=lambda number: len(rows[number].tokens))
    with torch.inference_mode():
        for first in range(0, len(order), rows_a_batch):
            batch = order[first : first + rows_a_batch]
            width = max(len(rows[number].tokens) for number in batch)
            ids = torch.full((len(batch), width), network.pad)
            for place, number in enumerate(batch):
                ids[place, : len(rows[number].tokens)] = torch.tensor(rows[number].tokens)
            states = network.backbone(input_ids=ids, use_cache=False).last_hidden_state
            last = torch.tensor([len(rows[number].tokens) - 1 for number in batch])
            read = network.head(states[torch.arange(len(batch)), last].float()).squeeze(-1)
            for number, reward in zip(batch, read.tolist(), strict=True):
                rewards[number] = reward
    return rewards
