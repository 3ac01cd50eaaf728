"""The door of PPO."""

from __future__ import annotations

from annotation.core.grades import Focus
from annotation.models import User
from rewardmodel.models import RewardModelVersion
from training.core.spec import RunKind
from training.models import Iteration, PolicyVersion, Run
from training.services.runs import queue_run
from training.services.start.checks import Params, check_focuses, check_policy_name, draw_keys


def start_ppo(
    *,
    name: str,
    policy: PolicyVersion,
    helpfulness: RewardModelVersion,
    safety: RewardModelVersion,
    params: Params,
    seed: int = 0,
    key: str | None = None,
    iteration: Iteration | None = None,
    by: User | None = None,
) -> Run:
    """Optimise `policy` against both reward models, kept close to where it starts."""
    check_policy_name(name, key)
    check_focuses({Focus.HELPFULNESS: helpfulness, Focus.SAFETY: safety})
    inputs = {
        "name": name,
        "policy": policy.pk,
        "helpfulness": helpfulness.pk,
        "safety": safety.pk,
        "prompts": draw_keys(RunKind.PPO, params, seed),
    }
    return queue_run(
        kind=RunKind.PPO, params=params, inputs=inputs, seed=seed, key=key, iteration=iteration, by=by
    )
