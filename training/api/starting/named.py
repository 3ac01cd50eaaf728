"""How bodies name rows: policies and reward models by name, batches by number, snapshots by id, runs by uid.

What is there is looked up through access; what may be done with it, the doors in services.start know.
"""

from __future__ import annotations

from typing import Annotated, Any, Protocol, TypeVar

from pydantic import Field

from annotation.access import batches_for
from annotation.api.problems import InvalidRequestError
from annotation.models import Batch, User
from rewardmodel.access import reward_models_for
from rewardmodel.models import RewardModelVersion
from training.access import policies_for
from training.core.spec import SPECS, RunKind
from training.models import PolicyVersion

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


class _Started(Protocol):
    @property
    def kind(self) -> str: ...

    def model_dump(self, *, include: set[str]) -> dict[str, Any]: ...


def params_of(body: _Started) -> dict[str, Any]:
    """The part of a body that its spec describes."""
    return body.model_dump(include=set(SPECS[RunKind(body.kind)].model_fields))


def batch_named(person: User, number: int) -> Batch:
    return there(batches_for(person).filter(number=number).first(), "batch", number, "GET batches")


def policy_named(person: User, name: str, field: str) -> PolicyVersion:
    return there(policies_for(person).filter(name=name).first(), field, name, "GET policies")


def model_named(person: User, name: str, field: str) -> RewardModelVersion:
    return there(reward_models_for(person).filter(name=name).first(), field, name, "GET reward-models")


def there(row: Row | None, field: str, value: object, where: str) -> Row:
    if row is None:
        reason = f"There is no {value}. {where} lists what there is."
        raise InvalidRequestError("Nothing was started.", errors=[{"field": field, "reason": reason}])
    return row
