"""What a snapshot is made of: which judgments become rows, how, and with which margins.

Two recipes that ask for the same thing are equal and have the same JSON, so that a recipe can be hashed and looked
for. Knows numbers of batches, keys and pseudonyms. Must not know rows of a database or files.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from annotation.core.aggregate import AggregationRule
from annotation.core.grades import MARGINS, Focus, Grade, MarginTable
from annotation.core.records import canonical_json

# Numbers that every writer of JSON writes alike: none has an exponent.
SMALLEST_MARGIN: Final = 0.0001
LARGEST_MARGIN: Final = 1000.0
MOST: Final = 10_000  # of a list; what is longer is no recipe

Number = Annotated[int, Field(ge=1, le=2_147_483_647)]
Word = Annotated[str, Field(max_length=100)]


# What `_four_numbers` and `_fits_together` say, for whoever reads the schema alone.
FITS_TOGETHER: Final[dict[str, Any]] = {
    "not": {
        "properties": {"batches": {"minItems": 1}, "up_to": {"type": "integer"}},
        "required": ["batches", "up_to"],
    },
    "if": {"properties": {"margin_table": {"const": MarginTable.OWN.value}}, "required": ["margin_table"]},
    "then": {
        "properties": {
            "margins": {
                "type": "object",
                "required": [grade.value for grade in Grade],
                "additionalProperties": {
                    "anyOf": [{"const": 0}, {"minimum": SMALLEST_MARGIN, "maximum": LARGEST_MARGIN}]
                },
            }
        },
        "required": ["margins"],
    },
    "else": {"properties": {"margins": {"type": "null"}}},
}


class Recipe(BaseModel):
    """Which judgments of which batches become rows, and how.

    `batches` are numbers of weeks; `up_to` is every sealed week up to that one, and none of both every sealed week.
    An empty list of focuses, languages or categories means any; a category is a topic or a risk category of the
    prompt. `min_agreement` is the least weight of a row (the share of its votes that agree, under Dawid-Skene the
    probability), `min_judgments` the least number of votes behind it. `margins` are the four numbers of the table
    OWN, by grade.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", json_schema_extra=FITS_TOGETHER)

    batches: tuple[Number, ...] = Field((), max_length=MOST)
    up_to: Number | None = None
    focuses: tuple[Focus, ...] = ()
    languages: tuple[Word, ...] = Field((), max_length=MOST)
    categories: tuple[Annotated[Word, Field(min_length=1)], ...] = Field((), max_length=MOST)
    min_agreement: float = Field(0.0, ge=0, le=1)
    min_judgments: int = Field(1, ge=1, le=1000)
    aggregation: AggregationRule = AggregationRule.MAJORITY
    margin_table: MarginTable = MarginTable.SMALL
    margins: dict[Grade, float] | None = None
    without_annotators: tuple[Word, ...] = Field((), max_length=MOST)
    without_prompts: tuple[Word, ...] = Field((), max_length=MOST)

    @field_validator("batches", "focuses", "languages", "categories", "without_annotators", "without_prompts")
    @classmethod
    def _once_in_order(cls, given: Iterable[Any]) -> tuple[Any, ...]:
        return tuple(sorted(set(given)))

    @field_validator("margins")
    @classmethod
    def _four_numbers(cls, given: dict[Grade, float] | None) -> dict[Grade, float] | None:
        if given is None:
            return None
        if missing := [grade.value for grade in Grade if grade not in given]:
            raise ValueError(f"a margin is missing for {', '.join(missing)}")
        for grade, margin in given.items():
            if margin != 0 and not (math.isfinite(margin) and SMALLEST_MARGIN <= margin <= LARGEST_MARGIN):
                raise ValueError(
                    f"the margin of {grade.value} has to be 0, or {SMALLEST_MARGIN} to {LARGEST_MARGIN:.0f}"
                )
        return {grade: abs(float(given[grade])) for grade in Grade}

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.batches and self.up_to is not None:
            raise ValueError("name either batches or up_to")
        if (self.margin_table is MarginTable.OWN) != (self.margins is not None):
            raise ValueError("margins belong to the margin table own, and it needs them")
        return self

    def to_json(self) -> dict[str, Any]:
        """Plain JSON; equal recipes give equal objects, in the same order."""
        return self.model_dump(mode="json")

    def canonical(self) -> str:
        return canonical_json(self.to_json())

    def margin_by_grade(self) -> Mapping[Grade | None, float]:
        """The m(r) of Eq. 2 in units of reward; without a stated strength it is 0."""
        table = MARGINS[self.margin_table] if self.margins is None else self.margins
        return {None: 0.0, **{grade: table[grade] for grade in Grade}}

    def resolved(self, numbers: Iterable[int]) -> Recipe:
        """The same with its batches named: what is written, whatever weeks are sealed later."""
        return Recipe.model_validate({**self.to_json(), "up_to": None, "batches": sorted(numbers)})

    def without(self, *, annotators: Iterable[str] = (), prompts: Iterable[str] = ()) -> Recipe:
        """The same, leaving out more."""
        return Recipe.model_validate(
            {
                **self.to_json(),
                "without_annotators": [*self.without_annotators, *annotators],
                "without_prompts": [*self.without_prompts, *prompts],
            }
        )
