"""Bodies of the runs that make dialogues to learn from."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from annotation.api.bodies import Body
from annotation.models import User
from training.api.starting.named import (
    Name,
    Seed,
    model_named,
    params_of,
    policy_named,
)
from training.core.specs.dialogues import DistillSpec, GattSpec, SelfChatSpec
from training.models import Run
from training.services import start


class GattBody(Body, GattSpec):
    """Make dialogues in which an instruction holds over all turns."""

    kind: Literal["gatt"]
    policy: Annotated[Name, Field(description="Name of the policy that answers.")]
    seed: Seed = 0

    def start(self, by: User) -> Run:
        return start.start_gatt(
            policy=policy_named(by, self.policy, "policy"),
            params=params_of(self),
            seed=self.seed,
            by=by,
        )


class DistillBody(Body, DistillSpec):
    """Answer behind a safety pre-prompt; keep what the safety model prefers."""

    kind: Literal["distill"]
    policy: Annotated[Name, Field(description="Name of the policy that answers.")]
    safety: Annotated[Name, Field(description="Name of a safety model.")]
    seed: Seed = 0

    def start(self, by: User) -> Run:
        return start.start_distill(
            policy=policy_named(by, self.policy, "policy"),
            safety=model_named(by, self.safety, "safety"),
            params=params_of(self),
            seed=self.seed,
            by=by,
        )


class SelfChatBody(Body, SelfChatSpec):
    """Let a policy write both sides of dialogues."""

    kind: Literal["self_chat"]
    policy: Annotated[Name, Field(description="Name of the policy that answers.")]
    seed: Seed = 0

    def start(self, by: User) -> Run:
        return start.start_self_chat(
            policy=policy_named(by, self.policy, "policy"),
            params=params_of(self),
            seed=self.seed,
            by=by,
        )
