"""The body of supervised fine-tuning."""

from __future__ import annotations

from typing import Annotated, Final, Literal
from uuid import UUID

from pydantic import Field

from annotation.access import snapshots_for
from annotation.api.bodies import Body, RowId
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
from training.core.targets import TARGETS
from training.models import Run
from training.services import start

MOST: Final = 32  # runs of one mixture


class FinetuneBody(Body, FinetuneSpec):
    """Fine-tune a policy on any mixture of sources, at least one."""

    kind: Literal["finetune"]
    name: NewName
    base: Annotated[Name, Field(description="Name of the policy where it starts; whole weights.")]
    selection: Annotated[
        UUID | None, Field(description="Uid of the rejection_sample run whose winners it learns from.")
    ] = None
    targets: Annotated[
        list[UUID],
        Field(
            max_length=MOST,
            description="Uids of gatt, distill and self_chat runs whose dialogues it learns from.",
        ),
    ] = []
    snapshot: Annotated[
        RowId | None, Field(description="Id of the snapshot whose chosen responses it learns from.")
    ] = None
    conversations: Annotated[
        str | None,
        Field(
            pattern=r"^[0-9a-f]{64}$",
            description="Hash of a kept file of conversations, as manage.py add_conversations prints it.",
        ),
    ] = None
    seed: Seed = 0

    def start(self, by: User) -> Run:
        snapshot = None
        if self.snapshot is not None:
            found = snapshots_for(by).filter(pk=self.snapshot).first()
            snapshot = there(found, "snapshot", self.snapshot, "GET snapshots")
        return start.start_finetune(
            name=self.name,
            base=policy_named(by, self.base, "base"),
            selection=_run(by, self.selection, "selection", [RunKind.REJECTION_SAMPLE])
            if self.selection
            else None,
            targets=[_run(by, uid, "targets", list(TARGETS)) for uid in self.targets],
            snapshot=snapshot,
            conversations=self.conversations or "",
            params=params_of(self),
            seed=self.seed,
            by=by,
        )


def _run(by: User, uid: UUID, field: str, kinds: list[RunKind]) -> Run:
    found = runs_for(by).filter(uid=uid, kind__in=kinds).first()
    where = f"GET runs?kind={kinds[0]}" if len(kinds) == 1 else "GET runs"
    return there(found, field, uid, where)
