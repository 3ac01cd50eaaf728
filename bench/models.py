"""Models for measurements, imported once by the very process that the product uses."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from rewardmodel.core.backbone import PolicyRef

ROOT = Path(__file__).resolve().parent.parent


def policy_of(model: str) -> PolicyRef:
    """The policy directory of `model` (tiny or smollm2) below var/bench, made at the first call."""
    folder = ROOT / "var" / "bench" / model
    folder.mkdir(parents=True, exist_ok=True)
    spec = folder / "spec.json"
    if not spec.exists():
        params = {"source": model}
        spec.write_text(
            json.dumps(
                {"kind": "import_policy", "seed": 0, "code_version": "bench", "params": params, "inputs": {}}
            )
        )
    command = [sys.executable, "-m", "training.core.cli", "--spec", str(spec), "--out", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True)
    return PolicyRef(model, folder / "output", None)
