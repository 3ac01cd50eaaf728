"""A run that several processes compute together: `python -m training.tests.several` takes the real process's arguments.

Each step is a sum over the processes, so that none can go on without the others.
"""

from __future__ import annotations

import os
import sys
import time
from typing import Any

from rewardmodel.core.files import write_atomically
from rewardmodel.core.ranks import join_ranks
from rewardmodel.core.report import RunFailedError
from training.core import cli
from training.core.job import Job

REGISTRY = {"train_reward_model": "training.tests.several:work"}


def spec(**inputs: Any) -> dict[str, Any]:
    """A spec.json for `work`; inputs: steps, pause (seconds a step), fail (a message), dies (a process's number)."""
    params = {"focus": "safety", "recipe": "lora"}
    return {
        "kind": "train_reward_model",
        "seed": 7,
        "device": "cpu",
        "code_version": "test",
        "params": params,
        "inputs": {"steps": 3, **inputs},
    }


def work(job: Job) -> dict[str, Any]:
    inputs = job.file.inputs
    ranks = join_ranks("cpu")
    write_atomically(job.out / f"process-{ranks.index}", str(os.getpid()))
    if "fail" in inputs and ranks.leads:
        raise RunFailedError(inputs["fail"])
    if inputs.get("dies") == ranks.index:
        os._exit(9)
    total = 0.0
    for step in range(inputs["steps"]):
        time.sleep(inputs.get("pause", 0))
        total += ranks.total(ranks.index + 1)
        if ranks.leads:
            job.progress(step + 1, inputs["steps"], "steps")
        if step == 0 and ranks.leads:
            job.stage("ready")
        ranks.check(job)
    if ranks.leads:
        job.output.mkdir(exist_ok=True)
        write_atomically(job.output / "total.txt", str(total))
    return {"total": total, "processes": ranks.count}


if __name__ == "__main__":
    sys.exit(cli.main(sys.argv[1:], registry=REGISTRY, lock_seconds=0.5))
