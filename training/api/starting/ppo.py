"""The body of PPO."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from annotation.api.bodies import Body
from annotation.models import User
from training.api.starting.named import (
    Name,
    NewName,
    Seed,
    model_named,
    params_of,
    policy_named,
)
from training.core.specs.ppo import PpoSpec
from training.models import Run
from training.services import start


class PpoBody(Body, PpoSpec):
    """Optimise a policy against both reward models by PPO."""

    kind: Literal["ppo"]
    name: NewName
    policy: Annotated[Name, Field(description="Name of the policy where it starts.")]
    helpfulness: Annotated[Name, Field(description="Name of a helpfulness model.")]
    safety: Annotated[Name, Field(description="Name of a safety model.")]
    seed: Seed = 0

    def start(self, by: User) -> Run:
        return start.start_ppo(
            name=self.name,
            policy=policy_named(by, self.policy, "policy"),
            helpfulness=model_named(by, self.helpfulness, "helpfulness"),
            safety=model_named(by, self.safety, "safety"),
            params=params_of(self),
            seed=self.seed,
            by=by,
        )
