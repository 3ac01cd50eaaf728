"""A fine-tuning in a process of its own, for tests that launch several: `python -m training.tests.tuning_process
REQUEST.json` with {"out", "params", "inputs", "sharded"}."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from rewardmodel.core.ranks import join_ranks
from training.core import finetune
from training.core.events import EventWriter
from training.core.job import Job
from training.core.spec import RunFile, RunKind


def tune(request: Mapping[str, Any]) -> dict[str, Any]:
    """Fine-tune as asked; the process that leads writes events into the folder."""
    out = Path(request["out"])
    ranks = replace(join_ranks("cpu"), sharded=request["sharded"])
    vars(finetune)["join_ranks"] = lambda device: ranks
    file = RunFile(
        kind=RunKind.FINETUNE,
        seed=5,
        device="cpu",
        code_version="1",
        params=request["params"],
        inputs=request["inputs"],
    )
    with EventWriter(out / "events.jsonl" if ranks.leads else Path(os.devnull)) as events:
        return finetune.run(Job(file, out, events))


if __name__ == "__main__":
    given = json.loads(Path(sys.argv[1]).read_bytes())
    found = tune(given)
    if found:
        (Path(given["out"]) / "result.json").write_text(json.dumps(found))
