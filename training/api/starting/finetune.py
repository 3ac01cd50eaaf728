"""The body of supervised fine-tuning."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from annotation.api.bodies import Body
from annotation.models import User
from training.access import runs_for
from training.api.starting.named import (
    Name,
    NewName,
    Seed,
    params_of,
    policy_named,
    there,
)
from training.core.spec import RunKind
from training.core.specs.finetune import FinetuneSpec
from training.models import Run
from training.services import start


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
        selection = there(
            runs_for(by).filter(uid=self.selection, kind=RunKind.REJECTION_SAMPLE).first(),
            "selection",
            self.selection,
            "GET runs?kind=rejection_sample",
        )
        return start.start_finetune(
            name=self.name,
            base=policy_named(by, self.base, "base"),
            selection=selection,
            params=params_of(self),
            seed=self.seed,
            by=by,
        )
