"""Bodies of the runs that train and use reward models."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from annotation.access import snapshots_for
from annotation.api.bodies import Body, RowId
from annotation.models import User
from rewardmodel.core.spec import TrainRewardModelSpec
from training.api.starting.named import (
    Name,
    NewName,
    Number,
    Seed,
    batch_named,
    model_named,
    params_of,
    policy_named,
    there,
)
from training.core.spec import ScorePairsSpec
from training.models import Run
from training.services import start


class TrainRewardModelBody(Body, TrainRewardModelSpec):
    """Train a reward model on a snapshot."""

    kind: Literal["train_reward_model"]
    name: NewName
    snapshot: Annotated[RowId, Field(description="The snapshot's id.")]
    backbone: Annotated[Name, Field(description="Name of the policy that it is initialised from.")]
    seed: Seed = 0

    def start(self, by: User) -> Run:
        snapshot = there(
            snapshots_for(by).filter(pk=self.snapshot).first(), "snapshot", self.snapshot, "GET snapshots"
        )
        return start.start_train_reward_model(
            name=self.name,
            snapshot=snapshot,
            backbone=policy_named(by, self.backbone, "backbone"),
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
            batch=batch_named(by, self.batch),
            helpfulness=model_named(by, self.helpfulness, "helpfulness") if self.helpfulness else None,
            safety=model_named(by, self.safety, "safety") if self.safety else None,
            params=params_of(self),
            by=by,
        )
