"""What POST runs takes: a closed body a kind of run, with the parameters of its spec beside what it works on.

Policies and reward models are named by name, batches by number, snapshots by id, runs by uid. What is there is looked
up through access; what may be done with it, the doors in services.start know.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal, TypeVar
from uuid import UUID

from pydantic import Field, RootModel, ValidationError
from rest_framework.request import Request

from annotation.access import batches_for, snapshots_for
from annotation.api.bodies import Body, RowId
from annotation.api.kit.bodies import as_shape, read
from annotation.api.kit.schema import BodyExtension
from annotation.api.lean import field_errors
from annotation.api.problems import InvalidRequestError
from annotation.models import Batch, User
from rewardmodel.access import reward_models_for
from rewardmodel.core.spec import TrainRewardModelSpec
from rewardmodel.models import RewardModelVersion
from training.access import policies_for, runs_for
from training.core.spec import (
    SPECS,
    FinetuneSpec,
    ImportPolicySpec,
    RejectionSampleSpec,
    RunKind,
    SampleSpec,
    ScorePairsSpec,
)
from training.models import PolicyVersion, Run
from training.services import start

Row = TypeVar("Row")
NewName = Annotated[
    str,
    Field(
        max_length=100, pattern=r"^\S(.*\S)?$", description="A name that is free; without blanks at its ends."
    ),
]
Name = Annotated[str, Field(min_length=1, max_length=100)]
Seed = Annotated[int, Field(ge=0, le=2**31 - 1, description="The same seed gives the same result.")]
Number = Annotated[int, Field(ge=1, le=2**31 - 1, description="The batch's number.")]


class ImportPolicyBody(Body, ImportPolicySpec):
    """Bring a model into the house as a policy version."""

    kind: Literal["import_policy"]
    name: NewName

    def start(self, by: User) -> Run:
        return start.start_import_policy(name=self.name, params=params_of(self), by=by)


class SampleBody(Body, SampleSpec):
    """Sample pairs for a batch."""

    kind: Literal["sample"]
    batch: Number
    policies: Annotated[
        list[Name],
        Field(min_length=1, max_length=2, description="Names, the newest first; one answers for both sides."),
    ]
    seed: Seed = 0

    def start(self, by: User) -> Run:
        policies = [_policy(by, name, "policies") for name in self.policies]
        return start.start_sample(
            batch=_batch(by, self.batch), policies=policies, params=params_of(self), seed=self.seed, by=by
        )


class TrainRewardModelBody(Body, TrainRewardModelSpec):
    """Train a reward model on a snapshot."""

    kind: Literal["train_reward_model"]
    name: NewName
    snapshot: Annotated[RowId, Field(description="The snapshot's id.")]
    backbone: Annotated[Name, Field(description="Name of the policy that it is initialised from.")]
    seed: Seed = 0

    def start(self, by: User) -> Run:
        snapshot = _there(
            snapshots_for(by).filter(pk=self.snapshot).first(), "snapshot", self.snapshot, "GET snapshots"
        )
        return start.start_train_reward_model(
            name=self.name,
            snapshot=snapshot,
            backbone=_policy(by, self.backbone, "backbone"),
            params=params_of(self),
            seed=self.seed,
            by=by,
        )


class ScorePairsBody(Body, ScorePairsSpec):
    """Score the pairs of a batch with reward models."""

    kind: Literal["score_pairs"]
    batch: Number
    helpfulness: Annotated[Name | None, Field(description="Name of a helpfulness model.")] = None
    safety: Annotated[Name | None, Field(description="Name of a safety model.")] = None

    def start(self, by: User) -> Run:
        return start.start_score_pairs(
            batch=_batch(by, self.batch),
            helpfulness=_model(by, self.helpfulness, "helpfulness") if self.helpfulness else None,
            safety=_model(by, self.safety, "safety") if self.safety else None,
            params=params_of(self),
            by=by,
        )


class RejectionSampleBody(Body, RejectionSampleSpec):
    """Sample and select: the best of K responses a prompt."""

    kind: Literal["rejection_sample"]
    policy: Annotated[Name, Field(description="Name of the policy that answers.")]
    helpfulness: Annotated[Name, Field(description="Name of a helpfulness model.")]
    safety: Annotated[Name, Field(description="Name of a safety model.")]
    seed: Seed = 0

    def start(self, by: User) -> Run:
        return start.start_rejection_sample(
            policy=_policy(by, self.policy, "policy"),
            helpfulness=_model(by, self.helpfulness, "helpfulness"),
            safety=_model(by, self.safety, "safety"),
            params=params_of(self),
            seed=self.seed,
            by=by,
        )


class FinetuneBody(Body, FinetuneSpec):
    """Fine-tune a policy on winners."""

    kind: Literal["finetune"]
    name: NewName
    base: Annotated[Name, Field(description="Name of the policy where it starts; whole weights.")]
    selection: Annotated[
        UUID, Field(description="Uid of the rejection_sample run whose winners it learns from.")
    ]
    seed: Seed = 0

    def start(self, by: User) -> Run:
        selection = _there(
            runs_for(by).filter(uid=self.selection, kind=RunKind.REJECTION_SAMPLE).first(),
            "selection",
            self.selection,
            "GET runs?kind=rejection_sample",
        )
        return start.start_finetune(
            name=self.name,
            base=_policy(by, self.base, "base"),
            selection=selection,
            params=params_of(self),
            seed=self.seed,
            by=by,
        )


Start = (
    ImportPolicyBody | SampleBody | TrainRewardModelBody | ScorePairsBody | RejectionSampleBody | FinetuneBody
)
BODIES: Final[Mapping[str, type[Start]]] = MappingProxyType(
    {
        RunKind.IMPORT_POLICY: ImportPolicyBody,
        RunKind.SAMPLE: SampleBody,
        RunKind.TRAIN_REWARD_MODEL: TrainRewardModelBody,
        RunKind.SCORE_PAIRS: ScorePairsBody,
        RunKind.REJECTION_SAMPLE: RejectionSampleBody,
        RunKind.FINETUNE: FinetuneBody,
    }
)


class StartBody(RootModel[Annotated[Start, Field(discriminator="kind")]]):
    """One body a kind of run. For the schema; `read_start` says more plainly what is wrong."""


class StartExtension(BodyExtension):  # type: ignore[no-untyped-call]
    target_class = StartBody  # type: ignore[assignment]  # as drf-spectacular's own do
    match_subclasses = False


class _Anything(RootModel[dict[str, Any]]):
    """An object; its kind says what else is in it."""


def read_start(request: Request) -> Start:
    """The body of POST runs.

    Raises:
        InvalidRequestError: it names no kind, or a field of that kind is wrong, too many or missing.
    """
    given = read(request, _Anything).root
    kind = given.get("kind")
    shape = BODIES.get(kind) if isinstance(kind, str) else None
    if shape is None:
        reason = f"Choose one of {', '.join(BODIES)}."
        if kind == RunKind.SCORE:
            reason = f"Responses are scored by POST reward-models/{{id}}/score. {reason}"
        raise InvalidRequestError(
            "The body names no kind of run.", errors=[{"field": "kind", "reason": reason}]
        )
    try:
        # As JSON, which knows no enumerations and no tuples: a strict model takes from it what stands for them.
        return as_shape(shape, json.dumps(given))
    except ValidationError as error:
        raise InvalidRequestError(
            f"The body does not have the shape that {kind} takes. Nothing was started.",
            errors=field_errors(error),
        ) from None


def params_of(body: Start) -> dict[str, Any]:
    """The part of a body that its spec describes."""
    return body.model_dump(include=set(SPECS[RunKind(body.kind)].model_fields))


def _batch(person: User, number: int) -> Batch:
    return _there(batches_for(person).filter(number=number).first(), "batch", number, "GET batches")


def _policy(person: User, name: str, field: str) -> PolicyVersion:
    return _there(policies_for(person).filter(name=name).first(), field, name, "GET policies")


def _model(person: User, name: str, field: str) -> RewardModelVersion:
    return _there(reward_models_for(person).filter(name=name).first(), field, name, "GET reward-models")


def _there(row: Row | None, field: str, value: object, where: str) -> Row:
    if row is None:
        reason = f"There is no {value}. {where} lists what there is."
        raise InvalidRequestError("Nothing was started.", errors=[{"field": field, "reason": reason}])
    return row
