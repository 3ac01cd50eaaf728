"""What one turn of the loop consists of: its steps, their parameters, and what each reads of those before it.

Knows kinds of step and how they fit together. Must not know rows, files or processes, and must not import torch: the
web process reads it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final, Self

from pydantic import Field, ValidationError, model_validator

from annotation.core.grades import Focus
from rewardmodel.core.spec import Spec
from training.core.spec import SPECS, RunKind


class StepKind(StrEnum):
    """A step of an iteration. All but the first two are runs of the kind of that name."""

    SEAL = "seal"
    SNAPSHOT = "snapshot"
    TRAIN_REWARD_MODEL = "train_reward_model"
    REJECTION_SAMPLE = "rejection_sample"
    GATT = "gatt"
    DISTILL = "distill"
    SELF_CHAT = "self_chat"
    FINETUNE = "finetune"
    PPO = "ppo"
    SAMPLE = "sample"


# Every recipe begins with these two: what people said is frozen and written before anything learns from it.
FIRST: Final = (StepKind.SEAL, StepKind.SNAPSHOT)
MAKES_TARGETS: Final = frozenset(
    {StepKind.REJECTION_SAMPLE, StepKind.GATT, StepKind.DISTILL, StepKind.SELF_CHAT}
)
MAKES_POLICY: Final = frozenset({StepKind.FINETUNE, StepKind.PPO})
# Which reward models a step asks.
JUDGED_BY: Final[Mapping[StepKind, tuple[Focus, ...]]] = MappingProxyType(
    {
        StepKind.REJECTION_SAMPLE: (Focus.HELPFULNESS, Focus.SAFETY),
        StepKind.PPO: (Focus.HELPFULNESS, Focus.SAFETY),
        StepKind.DISTILL: (Focus.SAFETY,),
    }
)
POLICY: Final = "policy"  # the newest policy when the week began
BASE: Final = "base"  # where fine-tuning starts (section 3.2.3)


class RecipeStep(Spec):
    """One step. What is left empty is chosen as a researcher would mostly choose it."""

    kind: StepKind = Field(description="What is done.")
    name: str = Field(
        "",
        max_length=60,
        pattern=r"^([a-z0-9_-]+(/[a-z0-9_-]+)?)?$",
        description="What later steps call it; empty: its kind.",
    )
    params: dict[str, Any] = Field(
        default_factory=dict, description="Parameters of its run where they are not the usual."
    )
    policy: str = Field(
        "",
        description="Whose policy it begins with: policy (the newest when the week began), base, or the name of an "
        "earlier step. Empty: base to fine-tune, else the newest that there is.",
    )
    targets: tuple[str, ...] = Field(
        (), description="Of a fine-tuning: the earlier steps that it learns from. Empty: all of them."
    )
    seed: int | None = Field(None, ge=0, lt=2**31, description="Empty: the iteration's.")


class Recipe(Spec):
    """The steps of an iteration in their order; sealing the batch and writing its snapshot come before them."""

    steps: tuple[RecipeStep, ...] = Field(min_length=1, max_length=40)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        wired(self)
        return self

    def to_json(self) -> dict[str, Any]:
        return self.model_dump(mode="json", exclude_defaults=True)

    def with_params(self, params: Mapping[str, Mapping[str, Any]]) -> Recipe:
        """The same, with further parameters for every step of a kind; they win over the step's own.

        The focus of a reward model stays: it says which of the two a step trains.
        """
        steps = []
        for step in self.steps:
            more = {k: v for k, v in params.get(step.kind, {}).items() if k != "focus"}
            steps.append({**step.model_dump(mode="json"), "params": {**step.params, **more}})
        return Recipe.model_validate({"steps": steps})

    def params_by_kind(self) -> dict[str, dict[str, Any]]:
        """The parameters of each kind of step that has some; of two steps of a kind those of the later one."""
        found = {
            str(step.kind): {k: v for k, v in step.params.items() if k != "focus"} for step in self.steps
        }
        return {kind: params for kind, params in found.items() if params}


@dataclass(frozen=True, slots=True)
class Wired:
    """A step with everything named. `after` are the steps that have to be done before it."""

    name: str
    kind: StepKind
    params: Mapping[str, Any]
    policy: str = ""
    targets: tuple[str, ...] = ()
    seed: int | None = None
    after: tuple[str, ...] = ()

    @property
    def reads(self) -> dict[str, Any]:
        """What it reads, as it is stored."""
        return {"policy": self.policy, "targets": list(self.targets), "after": list(self.after)}


def wired(recipe: Recipe) -> tuple[Wired, ...]:
    """The steps with everything named, sealing and snapshot among them.

    Raises:
        ValueError: steps do not fit together; says which and why.
    """
    steps = [Wired("seal", StepKind.SEAL, {}), Wired("snapshot", StepKind.SNAPSHOT, {}, after=("seal",))]
    for given in recipe.steps:
        steps.append(_wire(given, steps))
    return tuple(steps)


def _wire(given: RecipeStep, before: Sequence[Wired]) -> Wired:
    if given.kind in FIRST:
        raise ValueError(f"{given.kind} is no step to name: every recipe begins with it")
    name = given.name or _usual_name(given)
    if name in {step.name for step in before} | {POLICY, BASE}:
        raise ValueError(f"two steps are named {name!r}: give one of them another name")
    if before[-1].kind == StepKind.SAMPLE:
        raise ValueError(f"{name} comes behind sample, which opens the next week: put it before")
    _check_params(name, given)
    policy = _policy_of(name, given, before)
    targets = _targets_of(name, given, before)
    after = ["snapshot", *_models_before(given.kind, before), *targets]
    if policy not in ("", POLICY, BASE):
        after.append(policy)
    return Wired(name, given.kind, dict(given.params), policy, targets, given.seed, tuple(after))


def _usual_name(given: RecipeStep) -> str:
    if given.kind == StepKind.TRAIN_REWARD_MODEL:
        return f"{given.kind}/{given.params.get('focus', '')}".rstrip("/")
    return str(given.kind)


def _check_params(name: str, given: RecipeStep) -> None:
    try:
        SPECS[RunKind(given.kind)].model_validate(given.params)
    except ValidationError as error:
        listed = "; ".join(f"{'.'.join(str(part) for part in e['loc'])}: {e['msg']}" for e in error.errors())
        raise ValueError(f"the parameters of {name} are wrong: {listed}") from error


def _policy_of(name: str, given: RecipeStep, before: Sequence[Wired]) -> str:
    if given.kind == StepKind.TRAIN_REWARD_MODEL:
        if given.policy not in ("", BASE):
            raise ValueError(f"{name} is initialised from base: leave out its policy")
        return BASE
    made = [step.name for step in before if step.kind in MAKES_POLICY]
    if not given.policy:
        return BASE if given.kind == StepKind.FINETUNE else (made[-1] if made else POLICY)
    if given.policy not in (POLICY, BASE, *made):
        choices = ", ".join((POLICY, BASE, *made))
        raise ValueError(f"{name} begins with {given.policy!r}, which is no policy by then: choose {choices}")
    return given.policy


def _targets_of(name: str, given: RecipeStep, before: Sequence[Wired]) -> tuple[str, ...]:
    if given.kind != StepKind.FINETUNE:
        if given.targets:
            raise ValueError(f"{name} learns from no targets: leave them out")
        return ()
    made = [step.name for step in before if step.kind in MAKES_TARGETS]
    chosen = given.targets or tuple(made)
    if not chosen:
        raise ValueError(f"{name} has nothing to learn from: put a step before it that makes targets")
    if unknown := [target for target in chosen if target not in made]:
        raise ValueError(f"{name} learns from {', '.join(unknown)}, and no step before it makes such targets")
    return chosen


def _models_before(kind: StepKind, before: Sequence[Wired]) -> list[str]:
    """The steps that train reward models which this step asks."""
    asked = JUDGED_BY.get(kind, ())
    return [
        step.name
        for step in before
        if step.kind == StepKind.TRAIN_REWARD_MODEL and step.params.get("focus") in asked
    ]


def _preset(*kinds: StepKind) -> Recipe:
    models = [RecipeStep(kind=StepKind.TRAIN_REWARD_MODEL, params={"focus": focus.value}) for focus in Focus]
    return Recipe(steps=(*models, *(RecipeStep(kind=kind) for kind in kinds)))


# By the name that commands and pages give them.
PRESETS: Final[Mapping[str, Recipe]] = MappingProxyType(
    {
        "rejection": _preset(StepKind.REJECTION_SAMPLE, StepKind.FINETUNE, StepKind.SAMPLE),
        "rejection+ppo": _preset(StepKind.REJECTION_SAMPLE, StepKind.FINETUNE, StepKind.PPO, StepKind.SAMPLE),
        # Ghost attention and context distillation are learnt together with the winners: fine-tuning starts from whole
        # weights once, and PPO stands on what came of it.
        "full": _preset(
            StepKind.REJECTION_SAMPLE,
            StepKind.DISTILL,
            StepKind.GATT,
            StepKind.FINETUNE,
            StepKind.PPO,
            StepKind.SAMPLE,
        ),
    }
)
