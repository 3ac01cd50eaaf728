"""What the bodies of the workbench's requests share. Knows shapes alone."""

from __future__ import annotations

from typing import Annotated, Any, Final
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

LONGEST_COMMENT: Final = 4_000  # characters
SOME: Final = r"^[^\x00]*[^\x00\s][^\x00]*$"  # text with something to see in it


class Body(BaseModel):
    """A JSON object with these fields and no others."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Empty(Body):
    """An object without fields: the address says it all."""


class Retraction(Body):
    """`uid` names the taking back itself, so that sending it twice is one."""

    uid: UUID


def without_nul(text: Any) -> Any:
    # PostgreSQL stores every character but this one.
    if isinstance(text, str) and "\0" in text:
        raise PydanticCustomError("nul", "A NUL character cannot be stored")
    return text


Key = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
Comment = Annotated[str, BeforeValidator(without_nul), Field(max_length=LONGEST_COMMENT)]
Milliseconds = Annotated[int, Field(ge=0, le=2**31 - 1)]
RowId = Annotated[int, Field(ge=1, le=2**63 - 1)]
