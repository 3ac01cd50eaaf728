"""What is checked before a run is queued, because a queue cannot make up for it later."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from annotation.core.curriculum import Mix
from annotation.core.grades import Focus
from annotation.errors import ConflictError
from rewardmodel.models import RewardModelVersion
from training.core.spec import RunKind
from training.core.specs.sampling import PromptsSpec
from training.core.states import RUN_ACTIVE
from training.errors import NotReadyError
from training.models import PolicyVersion, Run
from training.services.prompts import draw_prompts
from training.services.runs import check_params

Params = Mapping[str, Any]
MAKES_POLICY: Final = (RunKind.IMPORT_POLICY, RunKind.FINETUNE, RunKind.PPO)


def draw_keys(kind: RunKind, params: Params, seed: int, mix: Mix | None = None) -> list[str]:
    spec = PromptsSpec.model_validate(
        {k: v for k, v in check_params(kind, params).items() if k in PromptsSpec.model_fields}
    )
    keys = draw_prompts(count=spec.prompts, safety_share=spec.safety_share, seed=seed, mix=mix)
    if not keys:
        raise NotReadyError("The prompt pool is empty. Add prompts to it: manage.py add_prompts FILE")
    return keys


def check_focuses(models: Mapping[Focus, RewardModelVersion]) -> None:
    for focus, version in models.items():
        if version.focus != focus:
            raise ConflictError(f"{version.name} is a {version.focus} model; choose a {focus} model there.")


def check_policy_name(name: str, key: str | None) -> None:
    check_name(PolicyVersion, MAKES_POLICY, name, key)


def check_name(
    model: type[PolicyVersion] | type[RewardModelVersion],
    kinds: Sequence[RunKind],
    name: str,
    key: str | None,
) -> None:
    """Refuse a name in use, also by a run at work: its hours must not end in a collision.

    A keyed run that was queued before keeps its own name.
    """
    if key is not None and Run.objects.filter(key=key).exists():
        return
    promised = Run.objects.filter(kind__in=kinds, state__in=RUN_ACTIVE, inputs__name=name).first()
    if promised is not None:
        raise ConflictError(f"Run {promised.pk} is already making {name!r}. Choose another name.")
    if model.objects.filter(name=name).exists():
        noun = "policy" if model is PolicyVersion else "reward model"
        raise ConflictError(f"There is a {noun} named {name!r} already. Choose another name.")
