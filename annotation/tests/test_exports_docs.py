"""The manual of formats says what the formats do."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from annotation.core.exports import judgments
from annotation.core.exports.base import ExportFormat, Passage, line_of
from annotation.core.exports.judgments import JudgmentRecord
from annotation.core.exports.registry import EXPORTS, NAMES
from annotation.core.records import PreferenceRecord
from annotation.tests.export_records import RULED, make_judgment_record, make_record

MANUAL = (Path(__file__).parents[2] / "docs" / "formats.md").read_text(encoding="utf-8")
EXAMPLE = make_record(id="9f86d081884c7d65", dialogue="2c26b46b68ffc68f", prompt="fcde2b2edba56bf4")
FORMATS: dict[str, ExportFormat[Any]] = {**EXPORTS, judgments.FORMAT.name: judgments.FORMAT}


def section(form: str) -> str:
    found = re.search(rf"^### `{form}`\n(.*?)(?=^##)", MANUAL, re.MULTILINE | re.DOTALL)
    assert found, f"docs/formats.md has no section on {form}"
    return found[1]


def columns_of(form: str) -> list[str]:
    """The columns that the description names, in its order."""
    return [name for names, _ in FORMATS[form].describe for name in re.findall(r"`(\w+)`", names)]


@pytest.mark.parametrize("form", NAMES)
def test_the_manual_prints_each_description_and_its_version(form: str) -> None:
    text = section(form)
    assert f"Format version {FORMATS[form].version}.\n" in text
    printed = re.findall(r"^\| (.+) \| (.+) \|$", text, re.MULTILINE)[1:]
    assert printed == list(FORMATS[form].describe)


@pytest.mark.parametrize("form", EXPORTS)
def test_a_description_names_every_column_of_a_row(form: str) -> None:
    # axolotl-rm holds single turns alone; others no system message.
    (row,) = Passage(EXPORTS[form]).rows(make_record())
    assert sorted(columns_of(form)) == sorted(row)


def test_the_description_of_judgments_names_every_field() -> None:
    assert columns_of("judgments") == [field.name for field in fields(JudgmentRecord)]


def test_the_description_of_native_rows_names_every_field() -> None:
    assert sorted(columns_of("native")) == sorted(field.name for field in fields(PreferenceRecord))


@pytest.mark.parametrize("form", NAMES)
def test_the_example_of_the_manual_is_what_comes_out(form: str) -> None:
    record: Any = make_judgment_record(**IDS) if form == "judgments" else EXAMPLE
    (row,) = Passage(FORMATS[form]).rows(record)
    (printed,) = re.findall(r"```jsonl\n(.*?)```", section(form), re.DOTALL)
    assert json.loads(printed) == json.loads(line_of(row))


IDS = {"comparison": EXAMPLE.id, "dialogue": EXAMPLE.dialogue, "prompt": EXAMPLE.prompt}


def test_the_manual_names_no_format_that_is_not_there() -> None:
    assert re.findall(r"^### `(.+)`$", MANUAL, re.MULTILINE) == list(NAMES)


def test_the_manual_prints_the_entry_for_llama_factory() -> None:
    (text,) = EXPORTS["llama-factory"].beside(["train"]).values()
    (printed,) = re.findall(r"```json\n(.*?)```", section("llama-factory"), re.DOTALL)
    assert json.loads(printed) == json.loads(text)


def test_the_manual_prints_every_reason_for_leaving_a_record_out() -> None:
    modules = Path(__file__).parents[1] / "core" / "exports"
    reasons = {
        reason.encode().decode("unicode_escape").replace("\n", r"\n")
        for module in modules.glob("*.py")
        for reason in re.findall(r'(?:UnfitError\(|left_out\[)"(.+?)"[)\]]', module.read_text())
    }
    assert len(reasons) >= 9
    printed = set(
        re.findall(r"^\| (.+?) \| .+ \|$", MANUAL.partition("## What is left out")[2], re.MULTILINE)
    )
    assert reasons <= printed, reasons - printed
    assert RULED[0]["role"] == "system"
