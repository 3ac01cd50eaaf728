"""Bodies of the runs that bring policies and their pairs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from annotation.api.bodies import Body
from annotation.models import User
from training.api.starting.named import (
    Name,
    NewName,
    Number,
    Seed,
    batch_named,
    params_of,
    policy_named,
)
from training.core.spec import ImportPolicySpec
from training.core.specs.sampling import SampleSpec
from training.models import Run
from training.services import start


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
        policies = [policy_named(by, name, "policies") for name in self.policies]
        return start.start_sample(
            batch=batch_named(by, self.batch),
            policies=policies,
            params=params_of(self),
            seed=self.seed,
            by=by,
        )
