"""A run whose work needs no model: `python -m training.tests.toy` takes the arguments of the real process.

The work is a chain of hashes with a checkpoint a step, so that a lost or repeated step changes the result.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from pathlib import Path
from typing import Any

from rewardmodel.core.files import write_atomically
from rewardmodel.core.report import RunFailedError
from training.core import cli
from training.core.job import Job

REGISTRY = {"sample": "training.tests.toy:work"}


def spec(**inputs: Any) -> dict[str, Any]:
    """A spec.json for `work`; inputs: steps, pause (seconds a step), fail, break (messages)."""
    return {
        "kind": "sample",
        "seed": 7,
        "code_version": "test",
        "params": {},
        "inputs": {"steps": 3, **inputs},
    }


def work(job: Job) -> dict[str, Any]:
    inputs = job.file.inputs
    if "fail" in inputs:
        raise RunFailedError(inputs["fail"])
    if "break" in inputs:
        raise ZeroDivisionError(inputs["break"])
    checkpoint = job.work / "checkpoint.json"
    done, value = json.loads(checkpoint.read_text()) if checkpoint.exists() else (0, str(job.file.seed))
    job.stage("hash")
    for step in range(done, inputs["steps"]):
        time.sleep(inputs.get("pause", 0))
        value = hashlib.sha256(f"{value}:{step}".encode()).hexdigest()
        write_atomically(checkpoint, json.dumps([step + 1, value]))
        job.progress(step + 1, inputs["steps"], "hashes")
        job.metric("first_digit", int(value[0], 16), step)
        job.check()
    _publish(job, value)
    return {"value": value}


def _publish(job: Job, value: str) -> None:
    staged: Path = job.work / "staged"
    staged.mkdir(exist_ok=True)
    write_atomically(staged / "value.txt", value)
    job.publish(staged)


if __name__ == "__main__":
    sys.exit(cli.main(sys.argv[1:], registry=REGISTRY, lock_seconds=0.5))
