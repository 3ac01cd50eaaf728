"""How each kind of step is started: its run's door, given what the iteration and its earlier steps have made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from django.db import transaction

from annotation.core.grades import Focus
from annotation.models import Batch, User
from annotation.queries import planned_after
from annotation.services import batches
from rewardmodel.models import RewardModelVersion
from rewardmodel.standing import current_version
from training.core.recipe import BASE, POLICY, StepKind
from training.errors import NotReadyError
from training.models import Iteration, PolicyVersion, Run
from training.models.policies import IterationStep
from training.services import start
from training.services.iterations.ancestry import rounds_before
from training.services.iterations.moving import last_policy_step
from training.services.iterations.reuse import seed_of
from training.services.iterations.rows import key_of
from training.services.sampling import sample_week

Door = Callable[[Iteration, IterationStep, User | None], Run]


def open_door(iteration: Iteration, step: IterationStep, by: User | None) -> Run:
    """Queue the step's run; the one that has its key, where it was queued before.

    Raises:
        DomainError: it cannot be started; says why.
    """
    return DOORS[StepKind(step.kind)](iteration, step, by)


def policy_of(iteration: Iteration, step: IterationStep) -> PolicyVersion:
    """The policy that a step begins with."""
    word = step.reads.get("policy", "")
    if word in (POLICY, BASE):
        return iteration.policy if word == POLICY else iteration.base
    made = _earlier(iteration, word).run
    found = PolicyVersion.objects.filter(run=str(made.uid)).first() if made else None
    if found is None:
        raise NotReadyError(f"{iteration} has no policy of {word} yet.")
    return found


def fed_back_policies(iteration: Iteration, step: IterationStep) -> list[PolicyVersion]:
    """The new policy and the one before it: every batch compares the two (section 3.2.1)."""
    return [policy_of(iteration, step), iteration.policy]


def _earlier(iteration: Iteration, name: str) -> IterationStep:
    return iteration.steps.select_related("run").get(name=name)


def _given(iteration: Iteration, step: IterationStep, by: User | None) -> dict[str, Any]:
    """What every door takes."""
    return {
        "params": dict(step.params),
        "seed": seed_of(iteration, step),
        "key": key_of(iteration, step),
        "iteration": iteration,
        "by": by,
    }


def _judge(iteration: Iteration, focus: Focus) -> RewardModelVersion:
    """The current one: what the iteration trained where that was promoted, else what stayed current."""
    own: RewardModelVersion | None = getattr(iteration, focus)
    judge = current_version(focus) or own
    if judge is None:
        raise NotReadyError(f"{iteration} has no reward model of {focus} yet, and none is current.")
    return judge


def _policy_name(iteration: Iteration, step: IterationStep) -> str:
    """The last policy that it makes has the plain name."""
    if step.name == last_policy_step(iteration):
        return f"policy-{iteration}"
    return f"policy-{iteration}-{step.name.replace('/', '-')}"


def _reward_model(iteration: Iteration, step: IterationStep, by: User | None) -> Run:
    if iteration.snapshot is None:
        raise NotReadyError(f"{iteration} has no snapshot yet.")
    focus = step.params["focus"]
    usual = step.name == f"{StepKind.TRAIN_REWARD_MODEL}/{focus}"
    return start.start_train_reward_model(
        name=f"{focus}-{iteration}" if usual else f"{focus}-{iteration}-{step.name.replace('/', '-')}",
        snapshot=iteration.snapshot,
        backbone=iteration.base,
        **_given(iteration, step, by),
    )


def _rejection(iteration: Iteration, step: IterationStep, by: User | None) -> Run:
    return start.start_rejection_sample(
        policy=policy_of(iteration, step),
        helpfulness=_judge(iteration, Focus.HELPFULNESS),
        safety=_judge(iteration, Focus.SAFETY),
        earlier=rounds_before(iteration),
        **_given(iteration, step, by),
    )


def _ppo(iteration: Iteration, step: IterationStep, by: User | None) -> Run:
    return start.start_ppo(
        name=_policy_name(iteration, step),
        policy=policy_of(iteration, step),
        helpfulness=_judge(iteration, Focus.HELPFULNESS),
        safety=_judge(iteration, Focus.SAFETY),
        **_given(iteration, step, by),
    )


def _gatt(iteration: Iteration, step: IterationStep, by: User | None) -> Run:
    return start.start_gatt(policy=policy_of(iteration, step), **_given(iteration, step, by))


def _self_chat(iteration: Iteration, step: IterationStep, by: User | None) -> Run:
    return start.start_self_chat(policy=policy_of(iteration, step), **_given(iteration, step, by))


def _distill(iteration: Iteration, step: IterationStep, by: User | None) -> Run:
    return start.start_distill(
        policy=policy_of(iteration, step),
        safety=_judge(iteration, Focus.SAFETY),
        **_given(iteration, step, by),
    )


def _finetune(iteration: Iteration, step: IterationStep, by: User | None) -> Run:
    sources = [_earlier(iteration, name).run for name in step.reads.get("targets", [])]
    return start.start_finetune(
        name=_policy_name(iteration, step),
        base=policy_of(iteration, step),
        targets=[run for run in sources if run is not None],
        **_given(iteration, step, by),
    )


def _feed_back(iteration: Iteration, step: IterationStep, by: User | None) -> Run:
    """Open the next week and sample its pairs."""
    policies = fed_back_policies(iteration, step)
    batch = iteration.next_batch or _open_next_batch(iteration, by)
    given = {**_given(iteration, step, by), "seed": batch.seed}
    return sample_week(batch=batch, policies=policies, **given)


@transaction.atomic
def _open_next_batch(iteration: Iteration, by: User | None) -> Batch:
    """The week that a researcher has planned to follow, or else the one that is proposed."""
    batch = planned_after(iteration.batch) or _as_proposed(iteration.batch, by)
    batch = batches.open_batch(batch=batch, by=by)
    iteration.next_batch = batch
    iteration.save(update_fields=["next_batch"])
    return batch


def _as_proposed(before: Batch, by: User | None) -> Batch:
    week = batches.propose_batch(after=before)
    return batches.create_batch(
        overlap=week.overlap,
        holdout=week.holdout,
        seed=week.seed,
        offer=week.offer,
        guidelines=week.guidelines,
        by=by,
    )


DOORS: Final[Mapping[StepKind, Door]] = MappingProxyType(
    {
        StepKind.TRAIN_REWARD_MODEL: _reward_model,
        StepKind.REJECTION_SAMPLE: _rejection,
        StepKind.GATT: _gatt,
        StepKind.DISTILL: _distill,
        StepKind.SELF_CHAT: _self_chat,
        StepKind.FINETUNE: _finetune,
        StepKind.PPO: _ppo,
        StepKind.SAMPLE: _feed_back,
    }
)
