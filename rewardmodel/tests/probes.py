"""A reward model that is really trained, small enough for a test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rewardmodel.core.backbone import PolicyRef
from rewardmodel.core.report import Silent
from rewardmodel.core.spec import TrainRewardModelSpec
from rewardmodel.core.train import train
from rewardmodel.tests.examples import make_record, write_snapshot


def train_probe(root: Path, tiny: PolicyRef, name: str) -> dict[str, Any]:
    """A probe on a dozen pairs, below `root`; its reference."""
    (root / "work").mkdir()
    train(
        spec=TrainRewardModelSpec.model_validate({"focus": "helpfulness", "max_length": 256}),
        inputs={
            "snapshot": str(write_snapshot(root / "snapshot", [make_record(n) for n in range(12)])),
            "backbone": tiny.to_json(),
            "name": name,
        },
        seed=0,
        device="cpu",
        code_version="test",
        work=root / "work",
        output=root / "output",
        report=Silent(),
    )
    return {"name": name, "path": str(root / "output"), "backbone": tiny.to_json()}
