"""What a week's plan asks of the run that samples its pairs: whose answers, at which temperatures, to which prompts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from annotation.core.plan import Plan
from annotation.models import Batch, User
from annotation.queries import batch_progress
from training.core.spec import RunKind
from training.errors import NotReadyError
from training.models import Iteration, PolicyVersion, Run
from training.services.runs import check_params
from training.services.start import start_sample


def sample_week(
    *,
    batch: Batch,
    policies: Sequence[PolicyVersion],
    params: Mapping[str, Any],
    seed: int = 0,
    key: str | None = None,
    iteration: Iteration | None = None,
    by: User | None = None,
) -> Run:
    """Sample pairs as the batch's plan says. `policies`, newest first, and `params` hold where it says nothing; a
    batch with a target gets as many prompts as it lacks.

    Raises:
        NotReadyError: the plan names a policy that there is not.
    """
    plan = Plan.from_json(batch.plan) if batch.plan else None
    values = dict(check_params(RunKind.SAMPLE, params))
    if plan is not None:
        values.update(temperatures=list(plan.temperatures), safety_share=plan.mix.safety_share)
    if lacking := batch.target and batch.target - batch_progress(batch).comparisons:
        values["prompts"] = max(1, lacking)
    return start_sample(
        batch=batch,
        policies=_named(plan.policies) if plan and plan.policies else policies,
        params=values,
        mix=plan.mix if plan else None,
        seed=seed,
        key=key,
        iteration=iteration,
        by=by,
    )


def _named(names: Sequence[str]) -> list[PolicyVersion]:
    found = {policy.name: policy for policy in PolicyVersion.objects.filter(name__in=names)}
    if unknown := [name for name in names if name not in found]:
        raise NotReadyError(
            f"The plan names {', '.join(unknown)}, and there is no such policy. Change the plan, or import it."
        )
    return [found[name] for name in names]
