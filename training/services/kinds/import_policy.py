"""A model from outside becomes a policy version."""

from __future__ import annotations

from typing import Any

from training.models import Run
from training.services.policies import register_policy
from training.services.references import read_output_manifest


def prepare(run: Run) -> dict[str, Any]:
    return {}


def collect(run: Run) -> str:
    return read_output_manifest(run)[1]


def register(run: Run, sha256: str) -> None:
    register_policy(name=run.inputs["name"], sha256=sha256, run=run)
