"""One step of Axolotl on a file of ours: `python step_axolotl.py KIND FILE MODEL OUT`, KIND dpo or rm.

Its own reading of the configuration, of the data and its own trainer. Runs in an environment that has Axolotl and
nothing of Margin. Writes what it saw to OUT/result.json.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
from axolotl.cli.config import load_cfg
from axolotl.common.datasets import load_datasets, load_preference_datasets
from axolotl.loaders import load_tokenizer
from axolotl.train import train
from axolotl.utils.dict import DictDefault
from safetensors.torch import load_file

KINDS: dict[str, dict[str, Any]] = {
    "dpo": {"rl": "dpo", "type": "chat_template.default"},
    "rm": {
        "reward_model": True,
        "model_type": "AutoModelForSequenceClassification",
        "num_labels": 1,
        "type": "bradley_terry.chat_template",
    },
}


def main(kind: str, file: str, place: str, out: str) -> None:
    options = dict(KINDS[kind])
    data: dict[str, Any] = {"path": file, "ds_type": "json", "type": options.pop("type"), "split": "train"}
    if kind == "rm":
        data["drop_system_message"] = True
    config = {
        "base_model": place,
        "chat_template": "tokenizer_default",
        "datasets": [data],
        "dataset_prepared_path": f"{out}/prepared",
        "output_dir": f"{out}/model",
        "sequence_len": 512,
        "micro_batch_size": 4,
        "gradient_accumulation_steps": 1,
        "max_steps": 1,
        "learning_rate": 0.01,
        "optimizer": "adamw_torch",
        "lr_scheduler": "constant",
        "val_set_size": 0,
        "use_cpu": True,
        "bf16": False,
        "fp16": False,
        "tf32": False,
        "flash_attention": False,
        "sample_packing": False,
        "gradient_checkpointing": False,
        "remove_unused_columns": False if kind == "dpo" else None,
        **options,
    }
    cfg = load_cfg(DictDefault(config))
    load = load_preference_datasets if kind == "dpo" else load_datasets
    meta = load(cfg=cfg)
    rows = meta.train_dataset
    trainer = train(cfg=cfg, dataset_meta=meta)[2]
    tokenizer = load_tokenizer(cfg)
    chosen = [
        row["prompt"] + row["chosen"] if kind == "dpo" else tokenizer.decode(row["chosen_ids"])
        for row in rows
    ]
    old = load_file(Path(place, "model.safetensors"))
    new = load_file(Path(out, "model/model.safetensors"))
    result = {
        "kept": len(rows),
        "chosen": chosen,
        "steps": trainer.state.global_step,
        "loss": trainer.state.log_history[0].get("loss"),
        "changed": any(not torch.equal(old[name], new[name]) for name in old.keys() & new.keys()),
    }
    Path(out, "result.json").write_text(json.dumps(result))


if __name__ == "__main__":
    main(*sys.argv[1:])
