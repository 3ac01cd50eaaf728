"""Fine-tuning by several processes together, with whole parameters and with parameters that are spread."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from rewardmodel.core.backbone import PolicyRef
from training.tests.jobs import write_lines

pytestmark = pytest.mark.process

PATIENCE = 240.0  # seconds
TWO = ["--multi_gpu", "--num_processes", "2", "--num_machines", "1", "--main_process_port", "0"]
LAUNCH = ["-m", "accelerate.commands.launch", *TWO, "--mixed_precision", "no", "--dynamo_backend", "no"]


def run(folder: Path, tiny: PolicyRef, *launcher: str, sharded: bool = False) -> dict[str, Any]:
    """Fine-tune in `folder`; the weights in the end, and what was measured."""
    folder.mkdir()
    rows = [
        {
            "dialogue": f"d{number}",
            "messages": [{"role": "user", "content": f"Why {number}?"}],
            "text": f"Because of {number}.",
            "finish_reason": "stop",
        }
        for number in range(12)
    ]
    targets = write_lines(folder / "targets.jsonl", rows)
    request = folder / "request.json"
    params = {"recipe": "full", "learning_rate": 0.003, "examples_per_step": 6, "tokens_per_batch": 100}
    inputs = {"policy": tiny.to_json(), "lines": [str(targets)], "name": "v1"}
    request.write_text(
        json.dumps({"out": str(folder), "params": params, "inputs": inputs, "sharded": sharded})
    )
    command = [sys.executable, *launcher, "-m", "training.tests.tuning_process", str(request)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert ended.returncode == 0, ended.stderr
    result: dict[str, Any] = json.loads((folder / "result.json").read_bytes())
    return result | {"weights": load_file(folder / "output/model.safetensors")}


@pytest.mark.parametrize("sharded", [False, True], ids=["whole", "sharded"])
def test_two_processes_make_the_policy_that_one_makes(tmp_path: Path, tiny: PolicyRef, sharded: bool) -> None:
    alone = run(tmp_path / "alone", tiny)
    both = run(tmp_path / "both", tiny, *LAUNCH, sharded=sharded)
    assert both["steps"] == alone["steps"] == 4
    for name in ("loss_first", "loss_last"):
        assert both[name] == pytest.approx(alone[name], rel=1e-4)
    for name, expected in alone["weights"].items():
        # Sums in another order; where a weight is near 0 the rounding of its neighbours counts.
        bound = 1e-4 * float(expected.abs().max())
        torch.testing.assert_close(both["weights"][name], expected, rtol=1e-4, atol=bound)
