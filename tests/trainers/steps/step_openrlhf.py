"""One step of OpenRLHF's RewardModelTrainer on a file of ours: `python step_openrlhf.py KIND FILE MODEL OUT`.

Its own data set, model, loss and trainer; only the strategy, which is DeepSpeed on GPUs, is replaced by one process
on a CPU. Runs in an environment that has OpenRLHF and nothing of Margin. Writes what it saw to OUT/result.json.
"""

from __future__ import annotations

import json
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import torch
from torch.utils.data import DataLoader
from transformers import AutoTokenizer


def stand_in(module: str, *names: str) -> None:
    """An empty module: flash-attn is built with a CUDA compiler, and imported even where nothing of it is called."""
    sys.modules[module] = ModuleType(module)
    sys.modules[module].__spec__ = ModuleSpec(module, None)
    for name in names:
        setattr(sys.modules[module], name, None)


stand_in("flash_attn")
stand_in("flash_attn.bert_padding", "index_first_axis", "pad_input", "rearrange", "unpad_input")
stand_in("flash_attn.utils")
stand_in("flash_attn.utils.distributed", "all_gather")

from openrlhf.datasets import RewardDataset  # noqa: E402
from openrlhf.datasets.utils import blending_datasets  # noqa: E402
from openrlhf.models import get_llm_for_sequence_regression  # noqa: E402
from openrlhf.trainer.rm_trainer import RewardModelTrainer  # noqa: E402


class OneProcess:
    """What the trainer asks of a strategy, without DeepSpeed. Notes the losses."""

    ring_attn_group = None
    accumulated_gradient = 1

    def __init__(self, args: Any) -> None:
        self.args = args
        self.losses: list[float] = []

    def print(self, *words: Any) -> None:
        print(*words)  # noqa: T201

    def is_rank_0(self) -> bool:
        return True

    def backward(self, loss: Any, _model: Any, _optimizer: Any) -> None:
        self.losses.append(loss.item())
        loss.backward()

    def optimizer_step(self, optimizer: Any, _model: Any, _scheduler: Any) -> None:
        optimizer.step()

    def get_grad_norm(self, _model: Any) -> float:
        return 0.0

    def all_reduce(self, values: Any) -> Any:
        return values


def arguments() -> Any:
    """The options of its command line that matter here, under its own names."""
    return SimpleNamespace(
        data=SimpleNamespace(
            prompt_key="prompt", chosen_key="chosen", rejected_key="rejected", apply_chat_template=True
        ),
        model=SimpleNamespace(margin_loss_enable=True, compute_fp32_loss_enable=False, aux_loss_coef=0),
        ds=SimpleNamespace(packing_samples=False),
        logger=SimpleNamespace(wandb=SimpleNamespace(key=None), tensorboard_dir=None, logging_steps=1),
        eval=SimpleNamespace(steps=-1),
        ckpt=SimpleNamespace(save_steps=-1),
        train=SimpleNamespace(batch_size=16),
        use_ms=False,
    )


def main(_kind: str, file: str, place: str, out: str) -> None:
    strategy = OneProcess(arguments())
    tokenizer = AutoTokenizer.from_pretrained(place)
    rows = blending_datasets(file, None, strategy, dataset_split="train")
    data = RewardDataset(rows, tokenizer, 512, strategy, num_processors=1)
    torch.manual_seed(0)
    model = get_llm_for_sequence_regression(
        place, "reward", param_dtype="bf16", attn_implementation="eager", init_value_head=True
    )
    before = [parameter.detach().clone() for parameter in model.parameters()]
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    RewardModelTrainer(
        model=model,
        strategy=strategy,
        optim=optimizer,
        train_dataloader=DataLoader(data, batch_size=16, collate_fn=data.collate_fn),
        eval_dataloader=None,
        scheduler=torch.optim.lr_scheduler.ConstantLR(optimizer),
        tokenizer=tokenizer,
        max_epochs=1,
    ).fit(strategy.args)
    result = {
        "kept": len(data),
        "margins": list(data.extras),
        "chosen": [data.prompts[n] + data.chosens[n] for n in range(len(data))],
        "loss": strategy.losses[0],
        "steps": len(strategy.losses),
        "changed": any(
            not torch.equal(old, new.detach()) for old, new in zip(before, model.parameters(), strict=True)
        ),
    }
    Path(out, "result.json").write_text(json.dumps(result))


if __name__ == "__main__":
    main(*sys.argv[1:])
