"""What has to be said before a file can be read whose rows do not say it: the focus, what a margin means, free names.

Knows these shapes and what follows from them. Must not know any source's rows.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from annotation.core.grades import MARGINS, Focus, Grade, MarginTable

MOST_VALUES: Final = 200

Name = Annotated[str, Field(max_length=200)]


class Side(StrEnum):
    """What a value of somebody's own scale says."""

    A = "a"
    B = "b"
    TIE = "tie"
    NONE = "none"  # no vote at all: unclear, both useless


class FocusMapping(BaseModel):
    """What the judgments of a file were given for: no row says it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    focus: Focus = Field(Focus.HELPFULNESS, description="What people judged: helpfulness or safety.")


class MarginMapping(FocusMapping):
    """And which table the numbers called margin are from."""

    margin_table: Literal["none", "small", "large"] = Field(
        "none", description="The table whose numbers become grades; none: no row gets a grade."
    )

    def grade_of(self, margin: float) -> Grade | None:
        """The grade whose number this is exactly. Margin 0 is that of a choice without strength too, so it is none."""
        table = MARGINS[MarginTable(self.margin_table)]
        return next((grade for grade, number in table.items() if margin and number == margin), None)


class FieldMapping(FocusMapping):
    """And what the fields and questions of a project are called, and what its answers mean.

    The verdict is either the answer to `choice`, by `values`, or the higher of the numbers `rating_a` and `rating_b`.
    """

    prompt: Name = Field(min_length=1, description="The field with the prompt: text, or a list of messages.")
    response_a: Name = Field(min_length=1, description="The field with one response.")
    response_b: Name = Field(min_length=1, description="The field with the other response.")
    choice: Name = Field("", description="The question that says which response is better.")
    values: dict[Name, Side] = Field(
        default_factory=dict,
        max_length=MOST_VALUES,
        description="Its answers: a, b, tie or none. Of a ranking: which item is which response.",
    )
    rating_a: Name = Field("", description="In the place of choice: the question that rates response_a.")
    rating_b: Name = Field("", description="And the one that rates response_b; the higher number is chosen.")
    grade: Name = Field("", description="The question that says how much better, if any; may be choice too.")
    grades: dict[Name, Grade | Literal[""]] = Field(
        default_factory=dict, max_length=MOST_VALUES, description="Its answers as grades; empty: no grade."
    )
    policy_a: Name = Field("", description="The field that names the model behind response_a, if any.")
    policy_b: Name = Field("", description="The field that names the model behind response_b, if any.")
    comment: Name = Field("", description="The question whose answer becomes the comment, if any.")

    @model_validator(mode="after")
    def _one_verdict(self) -> Self:
        if bool(self.choice) is bool(self.rating_a and self.rating_b):
            raise ValueError("give either choice, or both rating_a and rating_b")
        if bool(self.rating_a) is not bool(self.rating_b):
            raise ValueError("rating_a and rating_b go together")
        if self.response_a == self.response_b:
            raise ValueError("response_a and response_b are the same field")
        return self


def guess_table(margins: Iterable[float]) -> MarginMapping:
    """The only table that holds all these margins; none where it could be either, or neither."""
    stated = {margin for margin in margins if margin}
    tables = [MarginTable.SMALL, MarginTable.LARGE]
    holding = [table for table in tables if stated and stated <= set(MARGINS[table].values())]
    return MarginMapping(margin_table=holding[0].value if len(holding) == 1 else "none")
