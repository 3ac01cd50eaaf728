"""The door of rejection sampling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from annotation.core.curriculum import Mix
from annotation.core.grades import Focus
from annotation.models import User
from rewardmodel.models import RewardModelVersion
from training.core.spec import RunKind
from training.core.specs.rejection import RejectionSampleSpec, around
from training.core.states import RunState
from training.models import Iteration, PolicyVersion, Run
from training.services.runs import check_params, queue_run
from training.services.start.checks import Params, check_focuses, draw_keys


def start_rejection_sample(
    *,
    policy: PolicyVersion,
    helpfulness: RewardModelVersion,
    safety: RewardModelVersion,
    params: Params,
    mix: Mix | None = None,
    earlier: Sequence[Run] | None = None,
    seed: int = 0,
    key: str | None = None,
    iteration: Iteration | None = None,
    by: User | None = None,
) -> Run:
    """Sample and select. With a `mix` the prompts are drawn by it.

    `earlier` are the rounds before this one, oldest first, whose winners go into the bank and the last of which says
    round which temperature to tune; by default the selections of all iterations before. They are fixed here, so a run
    that is read later says what it went by.
    """
    check_focuses({Focus.HELPFULNESS: helpfulness, Focus.SAFETY: safety})
    spec = RejectionSampleSpec.model_validate(check_params(RunKind.REJECTION_SAMPLE, params))
    rounds = _rounds_before(iteration) if earlier is None else list(earlier)
    tuned = _retuned(params, rounds) if spec.retune else params
    inputs = {
        "policy": policy.pk,
        "helpfulness": helpfulness.pk,
        "safety": safety.pk,
        "prompts": draw_keys(RunKind.REJECTION_SAMPLE, params, seed, mix),
        "rounds": [run.pk for run in rounds] if spec.bank else [],
    }
    return queue_run(
        kind=RunKind.REJECTION_SAMPLE,
        params=tuned,
        inputs=inputs,
        seed=seed,
        key=key,
        iteration=iteration,
        by=by,
    )


def _rounds_before(iteration: Iteration | None) -> list[Run]:
    """The selections of earlier iterations, oldest first; of all of them for a run that belongs to none."""
    rows = Run.objects.filter(
        kind=RunKind.REJECTION_SAMPLE, state=RunState.SUCCEEDED, iteration__isnull=False
    )
    if iteration is not None:
        rows = rows.filter(iteration__number__lt=iteration.number)
    return list(rows.order_by("iteration__number", "pk"))


def _retuned(params: Params, rounds: Sequence[Run]) -> dict[str, Any]:
    """The parameters with temperatures round the best of the newest round that has one."""
    found = [best for run in rounds if (best := run.result.get("best_temperature"))]
    return {**params, "temperatures": around(found[-1]["temperature"])} if found else dict(params)
