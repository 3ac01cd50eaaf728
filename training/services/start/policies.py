"""Doors of the runs that bring policies and their pairs."""

from __future__ import annotations

from collections.abc import Sequence

from annotation.core.curriculum import Mix
from annotation.core.states import BatchState
from annotation.errors import BatchSealedError
from annotation.models import Batch, User
from training.core.spec import RunKind
from training.errors import NotReadyError
from training.models import Iteration, PolicyVersion, Run
from training.services.runs import queue_run
from training.services.start.checks import Params, check_policy_name, draw_keys


def start_import_policy(*, name: str, params: Params, key: str | None = None, by: User | None = None) -> Run:
    check_policy_name(name, key)
    return queue_run(kind=RunKind.IMPORT_POLICY, params=params, inputs={"name": name}, key=key, by=by)


def start_sample(
    *,
    batch: Batch,
    policies: Sequence[PolicyVersion],
    params: Params,
    mix: Mix | None = None,
    seed: int = 0,
    key: str | None = None,
    iteration: Iteration | None = None,
    by: User | None = None,
) -> Run:
    """Sample pairs for a batch; newest policy first. One policy answers for both sides. With a `mix` the prompts are
    drawn by it."""
    if batch.state == BatchState.SEALED:
        raise BatchSealedError(f"{batch.name} is sealed and takes no new pairs. Choose another batch.")
    if not policies:
        raise NotReadyError("There is no policy to answer. Import one first.")
    inputs = {
        "batch": batch.pk,
        "policies": [policy.pk for policy in policies],
        "prompts": draw_keys(RunKind.SAMPLE, params, seed, mix),
    }
    return queue_run(
        kind=RunKind.SAMPLE, params=params, inputs=inputs, seed=seed, key=key, iteration=iteration, by=by
    )
