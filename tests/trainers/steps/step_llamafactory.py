"""One step of LLaMA-Factory's stage rm on a folder of ours: `python step_llamafactory.py KIND FOLDER MODEL OUT`.

Runs in an environment that has LLaMA-Factory and nothing of Margin. Writes what it saw to OUT/result.json.
"""

from __future__ import annotations

import json
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from safetensors.torch import load_file
from transformers.utils.import_utils import is_torchaudio_available

# It imports torchaudio, for sound, whose published wheels do not load without CUDA: an empty module stands in, once
# transformers has noted that there is none.
if not is_torchaudio_available():
    sys.modules["torchaudio"] = ModuleType("torchaudio")
    sys.modules["torchaudio"].__spec__ = ModuleSpec("torchaudio", None)

from llamafactory.data import get_dataset, get_template_and_fix_tokenizer
from llamafactory.hparams import get_train_args
from llamafactory.model import load_tokenizer
from llamafactory.train.tuner import run_exp


def main(_kind: str, folder: str, place: str, out: str) -> None:
    args: dict[str, Any] = {
        "stage": "rm",
        "do_train": True,
        "model_name_or_path": place,
        "dataset_dir": folder,
        "dataset": "margin_train",
        "template": "chatml",
        "finetuning_type": "full",
        "output_dir": f"{out}/model",
        "max_steps": 1,
        "use_cpu": True,
        "report_to": "none",
        "per_device_train_batch_size": 8,
        "learning_rate": 0.01,
        "overwrite_cache": True,
    }
    run_exp(dict(args))
    state = json.loads(Path(out, "model/trainer_state.json").read_text())
    old = load_file(Path(place, "model.safetensors"))
    new = load_file(Path(out, "model/model.safetensors"))
    changed = any(not torch.equal(old[name], new[name]) for name in old.keys() & new.keys())
    result = {
        **rows(args),
        "steps": state["global_step"],
        "loss": state["log_history"][-1]["train_loss"],
        "changed": changed,
    }
    Path(out, "result.json").write_text(json.dumps(result))


def rows(args: dict[str, Any]) -> dict[str, Any]:
    """What its own loader makes of the file: texts as the template joins them."""
    model_args, data_args, training_args, _, _ = get_train_args(dict(args))
    module = load_tokenizer(model_args)
    template = get_template_and_fix_tokenizer(module["tokenizer"], data_args)
    data = get_dataset(template, model_args, data_args, training_args, stage="rm", **module)["train_dataset"]
    texts = [module["tokenizer"].decode(ids) for ids in data["chosen_input_ids"]]
    return {"kept": len(data), "chosen": texts}


if __name__ == "__main__":
    main(*sys.argv[1:])
