"""The run that rates given responses with one reward model, for whoever asked through the API.

Knows items and their order. Must not know how a reward is computed, nor who asked.

Inputs: items, a JSON lines file of {"messages", "responses"}, and reward_model (a reference). Result: reward_model
(its name) and rewards, one list an item, raw, before the sigmoid. All of them are one pass, as with the resident
scorer: there is little of it, and a run that is started again computes it again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from rewardmodel.core import scorer
from rewardmodel.core.asked import AskedError, check_numbers, encode_all
from rewardmodel.core.report import RunFailedError
from training.core.chunks import read_lines
from training.core.job import Job
from training.core.spec import ScoreSpec


def run(job: Job) -> dict[str, Any]:
    spec = cast("ScoreSpec", job.file.spec())
    reference = job.file.inputs["reward_model"]
    groups = [(row["messages"], row["responses"]) for row in read_lines(Path(job.file.inputs["items"]))]
    job.stage(f"score with {reference['name']}")
    model = scorer.load(reference, device=job.file.device, tokens_per_batch=spec.tokens_per_batch)
    job.check()
    try:
        rewards = model.rewards(encode_all(model, groups))
        check_numbers(rewards)
    except AskedError as error:
        raise RunFailedError(str(error)) from error
    total = sum(len(group) for group in rewards)
    job.progress(total, total, "responses")
    return {"reward_model": reference["name"], "rewards": rewards}
