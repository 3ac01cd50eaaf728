"""The run that scores the test pairs of a snapshot with two reward models, for a promotion to rest on.

Knows the order of the steps and what each says no to. Must not know how a reward is computed, nor what the figures
decide.

Inputs: candidate and current (references with sha256), focus, snapshot (directory). Result: models (name and
hash of each), snapshot (name and hash), the figures of rewardmodel.core.promotion.compare,
and drift.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from annotation.core.records import PreferenceRecord
from rewardmodel.core.against import compare_scored, score_records
from rewardmodel.core.dataset import read_snapshot
from rewardmodel.core.evaluation.drift import drift
from rewardmodel.core.evaluation.pairs import ScoredPair
from rewardmodel.core.report import RunFailedError
from training.core.generate import release_memory
from training.core.job import Job
from training.core.spec import CompareRewardModelsSpec


def run(job: Job) -> dict[str, Any]:
    """Score with one model after the other; what a killed attempt scored stays."""
    inputs = job.file.inputs
    job.stage("read")
    records, snapshot = read_snapshot(Path(inputs["snapshot"]))
    tests = [record for record in records if record.split == "test" and record.focus == inputs["focus"]]
    if not tests:
        raise RunFailedError(
            f"The snapshot {snapshot['name']} holds no {inputs['focus']} pairs to test on. Choose one of weeks that "
            "hold out pairs."
        )
    candidate, current = (_scored(job, name, tests) for name in ("candidate", "current"))
    models = {name: _named(inputs[name]) for name in ("candidate", "current")}
    moved = drift(candidate, current)
    return {"models": models, "snapshot": snapshot, **compare_scored(candidate, current), "drift": moved}


def _scored(job: Job, name: str, tests: Sequence[PreferenceRecord]) -> list[ScoredPair]:
    reference = job.file.inputs[name]
    job.stage(f"score with {reference['name']}")
    spec = cast("CompareRewardModelsSpec", job.file.spec())
    scored = score_records(
        reference,
        tests,
        device=job.file.device,
        work=job.work / name,
        report=job,
        tokens_per_batch=spec.tokens_per_batch,
    )
    release_memory()
    return scored


def _named(reference: Mapping[str, Any]) -> dict[str, str]:
    return {"name": reference["name"], "sha256": reference["sha256"]}
