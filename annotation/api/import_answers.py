"""What is answered of an import and of the formats. Knows shapes alone."""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel, Field

from annotation.core.formats.base import Format
from annotation.core.formats.prompt_sets import PROMPT_SETS, PromptSet
from annotation.core.formats.registry import FORMATS
from annotation.models import Batch
from annotation.services.imports import Source
from annotation.services.ingest import ImportReport
from annotation.services.prompts import PromptReport


class BadRowAnswer(BaseModel):
    line: int = Field(description="The line, or the number of the element or row, from 1.")
    reason: str


class BatchAnswer(BaseModel):
    number: int
    name: str


class ImportAnswer(BaseModel):
    """What came in, or would. Counts of judgments are 0 for a file of prompts, and the other way round."""

    dry_run: bool
    format: str
    mapping_version: int
    batch: BatchAnswer | None = Field(description="Null for prompts and in a dry run.")
    judgments: int = Field(0, description="New ones.")
    comparisons: int = Field(0, description="New ones.")
    prompts: int = Field(0, description="New to the pool.")
    already: int = Field(description="Stored earlier.")
    repeated: int = Field(description="Again within the file; the first counts.")
    ties: int = Field(0, description="Votes for neither, left out.")
    abstained: int = Field(0, description="No vote: skipped, cancelled, not finished, nobody asked.")
    margins_lost: int = Field(
        0, description="Judgments without a grade although they state a margin: it is none's."
    )
    bad_rows_count: int
    bad_rows: list[BadRowAnswer] = Field(description="The first 1,000 that were left out.")


EXAMPLE: Final = {
    "dry_run": False,
    "format": "trl-preference",
    "mapping_version": 1,
    "batch": {"number": 3, "name": "Week 3"},
    "judgments": 1200,
    "comparisons": 1200,
    "prompts": 0,
    "already": 0,
    "repeated": 0,
    "ties": 0,
    "abstained": 0,
    "margins_lost": 0,
    "bad_rows_count": 0,
    "bad_rows": [],
}


class FormatField(BaseModel):
    in_the_file: str
    becomes: str


class FormatAnswer(BaseModel):
    """One format; `mapping_schema` is the JSON Schema of the parameter `mapping`, null where it takes none."""

    name: str
    title: str
    version: int
    holds: str = Field(description="judgments or prompts")
    fields: list[FormatField]
    mapping_schema: dict[str, Any] | None


class FormatsAnswer(BaseModel):
    results: list[FormatAnswer]


FORMATS_EXAMPLE: Final = {
    "results": [
        {
            "name": "trl-prompt",
            "title": "TRL prompt-only, as prompts",
            "version": 1,
            "holds": "prompts",
            "fields": [{"in_the_file": "`prompt`", "becomes": "text, the prompt"}],
            "mapping_schema": {
                "properties": {"focus": {"enum": ["helpfulness", "safety"], "type": "string"}}
            },
        }
    ]
}


def of_formats() -> dict[str, Any]:
    found = [_of_format(form, "judgments") for form in FORMATS.values()]
    found += [_of_format(form, "prompts") for form in PROMPT_SETS.values()]
    return FormatsAnswer(results=found).model_dump(mode="json")


def _of_format(form: Format | PromptSet, holds: str) -> FormatAnswer:
    return FormatAnswer(
        name=form.name,
        title=form.title,
        version=form.version,
        holds=holds,
        fields=[FormatField(in_the_file=given, becomes=becomes) for given, becomes in form.mapping],
        mapping_schema=form.shape.model_json_schema() if form.shape else None,
    )


def of_judgments(source: Source, batch: Batch | None, report: ImportReport) -> dict[str, Any]:
    return ImportAnswer(
        dry_run=batch is None,
        format=source.form,
        mapping_version=FORMATS[source.form].version,
        batch=BatchAnswer(number=batch.number, name=batch.name) if batch else None,
        judgments=report.judgments,
        comparisons=report.comparisons,
        already=report.already,
        repeated=report.repeated,
        ties=report.ties,
        abstained=report.abstained,
        margins_lost=report.margins_lost,
        bad_rows_count=report.bad_n,
        bad_rows=[BadRowAnswer.model_validate(row) for row in report.bad_rows],
    ).model_dump(mode="json")


def of_prompts(source: Source, report: PromptReport, *, dry_run: bool) -> dict[str, Any]:
    return ImportAnswer(
        dry_run=dry_run,
        format=source.form,
        mapping_version=PROMPT_SETS[source.form].version,
        batch=None,
        prompts=report.new + report.joined,
        already=report.already,
        repeated=report.repeated,
        bad_rows_count=report.bad_n,
        bad_rows=[BadRowAnswer.model_validate(row) for row in report.bad_rows],
    ).model_dump(mode="json")
