"""The run of PPO."""

from __future__ import annotations

from typing import Any

from training.core.job import Job


def run(job: Job) -> dict[str, Any]:
    raise NotImplementedError
