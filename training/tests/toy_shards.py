"""A run that several processes share and that needs no model: `python -m training.tests.toy_shards`.

With the arguments of a run's process it leads; with those of a shard worker it is one. Every chunk that is computed
leaves a line in computed.txt: which, and by whom.
"""

from __future__ import annotations

import hashlib
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rewardmodel.core.files import write_atomically
from rewardmodel.core.report import Reporter
from training.core import cli, shard_worker
from training.core.chunks import Row, to_lines
from training.core.crew import Crew, Following, Leading
from training.core.job import Job
from training.core.shards import Place, plan_shares, run_shared

MODULE = "training.tests.toy_shards"
REGISTRY = {"sample": f"{MODULE}:lead"}
CHUNKS = 24


def spec(**inputs: Any) -> dict[str, Any]:
    """A spec.json; inputs: workers, pause (seconds a chunk), breaks (index of a worker that always dies)."""
    return {
        "kind": "sample",
        "seed": 7,
        "code_version": "test",
        "params": {},
        "inputs": {"workers": 3, "pause": 0.0, **inputs},
    }


def lead(job: Job) -> dict[str, Any]:
    count = job.file.inputs["workers"]

    def start(index: int) -> list[str]:
        return shard_worker.command(job.out, Place(index, count), module=MODULE)

    with Crew(count, start, job) as crew:
        rows = _compute(job, Leading(job, crew), Place(0, count))
    staged: Path = job.work / "staged"
    staged.mkdir(exist_ok=True)
    write_atomically(staged / "rows.jsonl", to_lines(rows))
    job.publish(staged)
    return {"rows": len(rows)}


def share(job: Job, place: Place, threads: int) -> None:
    if job.file.inputs.get("breaks") == place.index:
        sys.exit(9)
    _compute(job, Following(job, job.out), place)


def _compute(job: Job, report: Reporter, place: Place) -> list[Row]:
    def compute(indices: Sequence[int]) -> list[Row]:
        deadline = time.monotonic() + job.file.inputs["pause"]
        while time.monotonic() < deadline:
            report.check()
            time.sleep(0.005)
        with (job.out / "computed.txt").open("a") as file:
            file.write(f"{indices[0]} {place.index} {os.getpid()}\n")
        return [{"hash": hashlib.sha256(f"{job.file.seed}:{i}".encode()).hexdigest()} for i in indices]

    return run_shared(job.work / "parts", plan_shares(2 * CHUNKS, CHUNKS), compute, report, "items", place)


if __name__ == "__main__":
    if "--index" in sys.argv:
        sys.exit(shard_worker.main(sys.argv[1:], work=share))
    sys.exit(cli.main(sys.argv[1:], registry=REGISTRY))
