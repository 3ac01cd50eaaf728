"""The manual of imports says what the formats do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from annotation.core.formats.base import ImportedJudgment, Tie
from annotation.core.formats.lines import MAX_FILE, MAX_LINE, MAX_ROWS
from annotation.core.formats.mappings import FieldMapping, FocusMapping
from annotation.core.formats.prompt_sets import PROMPT_SETS, read_prompt_set
from annotation.core.formats.prompts import ImportedPrompt
from annotation.core.formats.registry import FORMATS, read
from annotation.services.ingest import KEPT

MANUAL = (Path(__file__).parents[2] / "docs" / "import.md").read_text(encoding="utf-8")


def section(form: str) -> str:
    found = re.search(rf"^### `{form}`\n(.*?)(?=^##)", MANUAL, re.MULTILINE | re.DOTALL)
    assert found, f"docs/import.md has no section on {form}"
    return found[1]


@pytest.mark.parametrize("form", [*FORMATS, *PROMPT_SETS])
def test_the_manual_prints_each_mapping_and_its_version(form: str) -> None:
    text, stated = section(form), PROMPT_SETS.get(form) or FORMATS[form]
    assert f"Mapping version {stated.version}.\n" in text
    printed = re.findall(r"^\| (.+) \| (.+) \|$", text, re.MULTILINE)[1:]
    assert printed == list(stated.mapping)


@pytest.mark.parametrize("form", FORMATS)
def test_the_examples_of_the_manual_can_be_imported(form: str) -> None:
    (rows,) = re.findall(r"```jsonl\n(.*?)```", section(form), re.DOTALL)
    stated = re.findall(r"```json\n(.*?)```", section(form), re.DOTALL)
    mapping = FieldMapping.model_validate_json(stated[0]) if stated else None
    items = list(read(rows.splitlines(), form=form, mapping=mapping))
    assert items
    assert all(isinstance(item, ImportedJudgment | Tie) for item in items), items


@pytest.mark.parametrize("form", PROMPT_SETS)
def test_the_prompts_of_the_manual_can_be_imported(form: str) -> None:
    (rows,) = re.findall(r"```jsonl\n(.*?)```", section(form), re.DOTALL)
    items = list(read_prompt_set(rows.splitlines(), form=form, said=FocusMapping()))
    assert items
    assert all(isinstance(item, ImportedPrompt) for item in items), items


def test_the_manual_names_no_format_that_is_not_there() -> None:
    assert re.findall(r"^### `(.+)`$", MANUAL, re.MULTILINE) == [*FORMATS, *PROMPT_SETS]


def test_the_manual_names_every_field_of_a_mapping() -> None:
    table = MANUAL.partition("## Mappings")[2].partition("## Formats")[0]
    assert {name for name in FieldMapping.model_fields if f"`{name}`" not in table} == set()


def test_the_manual_states_the_limits() -> None:
    assert f"{MAX_LINE // 2**20} MiB, or a file longer than {MAX_FILE // 2**30} GiB" in MANUAL
    assert f"more than {MAX_ROWS // 10**6} million lines" in MANUAL
    assert f"the first {KEPT:,} bad rows" in MANUAL
