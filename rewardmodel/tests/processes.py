"""A training in a process of its own, for tests that launch several or kill one.

`python -m rewardmodel.tests.processes REQUEST.json`; the request is made by `request_of`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from rewardmodel.core import train as training
from rewardmodel.core import tuning
from rewardmodel.core.backbone import PolicyRef
from rewardmodel.core.ranks import join_ranks
from rewardmodel.core.report import Silent
from rewardmodel.core.spec import TrainRewardModelSpec


def request_of(
    folder: Path, snapshot: Path, backbone: PolicyRef, *, sharded: bool = False, **params: Any
) -> dict[str, Any]:
    """What to train in `folder`, as JSON can say it."""
    return {
        "folder": str(folder),
        "inputs": {"snapshot": str(snapshot), "backbone": backbone.to_json(), "name": "helpful-1"},
        "params": {"focus": "helpfulness", "max_length": 256, **params},
        "sharded": sharded,
    }


class Diary(Silent):
    """Writes a byte for every step done, so that another process sees how far this one is."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def metric(self, name: str, value: float, step: int) -> None:
        if name == "loss":
            with self._file.open("ab") as file:
                file.write(b".")


def train(request: Mapping[str, Any]) -> dict[str, Any]:
    """Train as asked, with a checkpoint after every step."""
    folder = Path(request["folder"])
    (folder / "work").mkdir(parents=True, exist_ok=True)
    vars(tuning)["CHECKPOINT_SECONDS"] = 0.0
    ranks = replace(join_ranks("cpu"), sharded=request["sharded"])
    vars(training)["join_ranks"] = lambda device: ranks
    (folder / f"process-{ranks.index}-of-{ranks.count}").touch()
    return training.train(
        spec=TrainRewardModelSpec.model_validate(request["params"]),
        inputs=request["inputs"],
        seed=3,
        device="cpu",
        code_version="test",
        work=folder / "work",
        output=folder / "output",
        report=Diary(folder / "diary"),
    )


if __name__ == "__main__":
    train(json.loads(Path(sys.argv[1]).read_bytes()))
