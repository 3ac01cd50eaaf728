"""The manual of imports says what the formats do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from annotation.core.formats.base import ImportedJudgment, Tie
from annotation.core.formats.lines import MAX_FILE, MAX_LINE
from annotation.core.formats.registry import FORMATS, read

MANUAL = (Path(__file__).parents[2] / "docs" / "import.md").read_text(encoding="utf-8")


def section(form: str) -> str:
    found = re.search(rf"^### `{form}`\n(.*?)(?=^##)", MANUAL, re.MULTILINE | re.DOTALL)
    assert found, f"docs/import.md has no section on {form}"
    return found[1]


@pytest.mark.parametrize("form", FORMATS)
def test_the_manual_prints_each_mapping_and_its_version(form: str) -> None:
    text = section(form)
    assert f"Mapping version {FORMATS[form].version}.\n" in text
    printed = re.findall(r"^\| (.+) \| (.+) \|$", text, re.MULTILINE)[1:]
    assert printed == list(FORMATS[form].mapping)


@pytest.mark.parametrize("form", FORMATS)
def test_the_examples_of_the_manual_can_be_imported(form: str) -> None:
    (rows,) = re.findall(r"```jsonl\n(.*?)```", section(form), re.DOTALL)
    items = list(read(rows.splitlines(), form=form))
    assert items
    assert all(isinstance(item, ImportedJudgment | Tie) for item in items), items


def test_the_manual_names_no_format_that_is_not_there() -> None:
    assert re.findall(r"^### `(.+)`$", MANUAL, re.MULTILINE) == list(FORMATS)


def test_the_manual_states_the_limits() -> None:
    assert f"{MAX_LINE // 2**20} MiB, or a file longer than {MAX_FILE // 2**30} GiB" in MANUAL
