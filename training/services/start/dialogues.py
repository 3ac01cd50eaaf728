"""Doors of the runs that make dialogues to learn from."""

from __future__ import annotations

from annotation.core.grades import Focus
from annotation.models import User
from rewardmodel.models import RewardModelVersion
from training.core.spec import RunKind
from training.models import Iteration, PolicyVersion, Run
from training.services.runs import queue_run
from training.services.start.checks import Params, check_focuses, draw_keys


def start_gatt(
    *,
    policy: PolicyVersion,
    params: Params,
    seed: int = 0,
    key: str | None = None,
    iteration: Iteration | None = None,
    by: User | None = None,
) -> Run:
    """Make dialogues in which an instruction holds over all turns (section 3.3)."""
    inputs = {
        "policy": policy.pk,
        "prompts": draw_keys(RunKind.GATT, params, seed),
    }
    return queue_run(
        kind=RunKind.GATT, params=params, inputs=inputs, seed=seed, key=key, iteration=iteration, by=by
    )


def start_distill(
    *,
    policy: PolicyVersion,
    safety: RewardModelVersion,
    params: Params,
    seed: int = 0,
    key: str | None = None,
    iteration: Iteration | None = None,
    by: User | None = None,
) -> Run:
    """Answer adversarial prompts behind a safety pre-prompt; keep what the safety model prefers (section 4.2.4)."""
    check_focuses({Focus.SAFETY: safety})
    inputs = {
        "policy": policy.pk,
        "safety": safety.pk,
        "prompts": draw_keys(RunKind.DISTILL, params, seed),
    }
    return queue_run(
        kind=RunKind.DISTILL, params=params, inputs=inputs, seed=seed, key=key, iteration=iteration, by=by
    )


def start_self_chat(
    *,
    policy: PolicyVersion,
    params: Params,
    seed: int = 0,
    key: str | None = None,
    iteration: Iteration | None = None,
    by: User | None = None,
) -> Run:
    """Let a policy write both sides of dialogues."""
    inputs = {
        "policy": policy.pk,
        "prompts": draw_keys(RunKind.SELF_CHAT, params, seed),
    }
    return queue_run(
        kind=RunKind.SELF_CHAT, params=params, inputs=inputs, seed=seed, key=key, iteration=iteration, by=by
    )
