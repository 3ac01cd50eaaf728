"""RewardBench's command line on a file of ours: `python step_rewardbench.py KIND FILE MODEL OUT`.

It evaluates and trains nothing. Runs in an environment that has RewardBench and nothing of Margin. Writes what it
saw to OUT/result.json.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
from rewardbench.rewardbench import main as evaluate
from rewardbench.utils import load_and_process_dataset
from transformers import AutoModelForSequenceClassification, BatchEncoding, PreTrainedTokenizerFast


def main(_kind: str, file: str, place: str, out: str) -> None:
    # The name that transformers 5 gives the class of a tokenizer says nothing to the version pinned here.
    inputs = ["input_ids", "attention_mask"]
    tokenizer = PreTrainedTokenizerFast.from_pretrained(place, model_input_names=inputs)
    tokenizer.chat_template = Path(place, "chat_template.jinja").read_text()
    data = load_and_process_dataset(file, json=True, tokenizer=tokenizer)
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_pretrained(place, num_labels=1)
    model.save_pretrained(f"{out}/rm")
    tokenizer.save_pretrained(f"{out}/rm")
    # Its pipeline names the device cuda outright.
    batches: Any = BatchEncoding
    batches.to = lambda self, *_: self
    sys.argv = ["rewardbench", f"--model={out}/rm", f"--dataset={file}", "--load_json"]
    sys.argv += [f"--output_dir={out}/scores", "--batch_size=2", "--torch_dtype=float32", "--not_quantized"]
    evaluate()
    written = next(Path(out).rglob("*_outputs.jsonl"))
    scores = [json.loads(line) for line in written.read_text().splitlines()]
    result = {
        "kept": len(data),
        "chosen": list(data["text_chosen"]),
        "rejected": list(data["text_rejected"]),
        "scored": [[row["id"], row["subset"], row["chosen_model"]] for row in scores],
    }
    Path(out, "result.json").write_text(json.dumps(result))


if __name__ == "__main__":
    main(*sys.argv[1:])
