"""The run that trains a reward model: a thin door to `rewardmodel.core.train`.

Knows which fields of a run the computation wants. Must not know anything of rewards.

Inputs: snapshot (directory), backbone (policy reference), name. Result: metrics and mixture.
"""

from __future__ import annotations

from typing import Any, cast

from rewardmodel.core.spec import TrainRewardModelSpec
from rewardmodel.core.train import train
from training.core.job import Job


def run(job: Job) -> dict[str, Any]:
    """Train into the job's output; what a killed attempt left in its work is taken up again."""
    return train(
        spec=cast("TrainRewardModelSpec", job.file.spec()),
        inputs=job.file.inputs,
        seed=job.file.seed,
        device=job.file.device,
        code_version=job.file.code_version,
        work=job.work,
        output=job.output,
        report=job,
    )
