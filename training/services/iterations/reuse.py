"""Whether work was done before: the digest of what a run reads, and the step that has done the same.

What a run reads goes into the digest by its content (a snapshot's, a policy's and a reward model's sha256), the run
whose targets it reads by its primary key, prompts by their keys. Its name does not, nor the reward model that it is
only compared with.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final

from annotation.models import Snapshot
from rewardmodel.models import RewardModelVersion
from training.core.plan import step_digest
from training.core.recipe import StepKind
from training.core.spec import RunKind
from training.core.states import RunState, StepState
from training.models import Iteration, PolicyVersion, Run
from training.models.policies import IterationStep
from training.services.runs import check_params

NOT_READ: Final = frozenset({"name", "current"})
# Inputs that count by the content of the rows they name; all others count as they are.
HASHED: Final[Mapping[str, type[Any]]] = MappingProxyType(
    {
        "snapshot": Snapshot,
        "backbone": PolicyVersion,
        "base": PolicyVersion,
        "policy": PolicyVersion,
        "helpfulness": RewardModelVersion,
        "safety": RewardModelVersion,
    }
)


def digest_of_run(run: Run) -> str:
    """The digest of what a run computes, made of what its door gave it."""
    reads = {name: _content(name, value) for name, value in run.inputs.items() if name not in NOT_READ}
    return step_digest(kind=StepKind(run.kind), params=run.params, seed=run.seed, reads=reads)


def digest_of_feed_back(iteration: Iteration, step: IterationStep, policies: Iterable[PolicyVersion]) -> str:
    """Of opening the next week, which has no rows yet: the same policies, asked alike, behind the same week."""
    reads = {"after": iteration.batch.number, "policies": [policy_content(policy) for policy in policies]}
    params = check_params(RunKind.SAMPLE, step.params)
    return step_digest(kind=StepKind.SAMPLE, params=params, seed=seed_of(iteration, step), reads=reads)


def seed_of(iteration: Iteration, step: IterationStep) -> int:
    return iteration.seed if step.seed is None else step.seed


def _content(name: str, pk: Any) -> Any:
    model = HASHED.get(name)
    if model is None:
        return pk
    if model is PolicyVersion:
        return policy_content(PolicyVersion.objects.select_related("adapter_on").get(pk=pk))
    return model.objects.get(pk=pk).sha256


def policy_content(policy: PolicyVersion) -> list[str]:
    """An adapter is what it is only on its weights."""
    return [policy.sha256, *([policy.adapter_on.sha256] if policy.adapter_on else [])]


def twin_of(step: IterationStep, digest: str) -> IterationStep | None:
    """The first step that is done with this digest and whose work still stands."""
    done = IterationStep.objects.filter(
        digest=digest, state=StepState.DONE, run__state=RunState.SUCCEEDED
    ).exclude(pk=step.pk)
    return done.select_related("run", "iteration__next_batch").order_by("pk").first()
