"""Files of ours and steps in the environments of others, for the tests marked `trainers`."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from annotation.core.exports import judgments
from annotation.core.exports.base import ExportFormat, Passage, Row, line_of
from annotation.core.exports.registry import EXPORTS
from annotation.core.records import PreferenceRecord
from annotation.tests.export_records import QUESTION, RULED, TALK, make_judgment_record, make_record
from rewardmodel.core.tiny import build_tiny

ROOT = Path(__file__).resolve().parents[2]
# The first row has no grade, the others differ in margin, turns, system message and script; one answer is empty.
RECORDS = (
    make_record(QUESTION, "A wren.", "A bat.", grade=None, margin=0.0),
    make_record(TALK, "A robin.", "None."),
    make_record(RULED, "Zaunkönig", "蝙蝠 🦇", margin=1.0),
    make_record(TALK, "A robin.", "", margin=1 / 3),
    make_record(QUESTION, "A robin,\n\nor a wren.", "user says no", margin=1 / 3),
)


JUDGMENTS = (
    make_judgment_record(grade=None, left=None, active_ms=None),
    make_judgment_record(comment="Ben said so."),
)


@dataclass(frozen=True)
class Seen:
    """What was written, and what the library said of it."""

    records: list[PreferenceRecord]
    rows: list[Row]
    said: Any


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("trainers") / "tiny"
    build_tiny(place)
    return place


@pytest.fixture
def step(tiny: Path, tmp_path: Path) -> Callable[..., Seen]:
    """Write a format's file and have the library take a step on it, in its own environment."""

    def take(library: str, form: str, kind: str = "rm") -> Seen:
        python = ROOT / ".venv-trainers" / library / "bin" / "python"
        if not python.exists():
            pytest.skip(
                f"{library} is not installed: make test-trainers sets it up in .venv-trainers/{library}"
            )
        written = _write(form, tmp_path / form)
        # LLaMA-Factory reads a folder, for the entry in dataset_info.json; the others read a file.
        place = tmp_path / form if library == "llama-factory" else tmp_path / form / "train.jsonl"
        script = ROOT / "tests" / "trainers" / "steps" / f"step_{library.replace('-', '')}.py"
        out = tmp_path / "out"
        out.mkdir()
        ended = subprocess.run(
            [python, script, kind, place, tiny, out],
            env=_environment(tmp_path),
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
        )
        assert ended.returncode == 0, ended.stderr[-3000:]
        return Seen(*written, json.loads((out / "result.json").read_text()))

    return take


def _write(form: str, folder: Path) -> tuple[list[Any], list[Row]]:
    """The folder of one format; which records have rows, and the rows."""
    format_: ExportFormat[Any] = judgments.FORMAT if form == "judgments" else EXPORTS[form]
    passage = Passage(format_)
    records = JUDGMENTS if form == "judgments" else RECORDS
    found = [(record, row) for record in records for row in passage.rows(record)]
    folder.mkdir()
    (folder / "train.jsonl").write_text("".join(line_of(row) for _, row in found), encoding="utf-8")
    for name, text in format_.beside(["train"]).items():
        (folder / name).write_text(text)
    return [record for record, _ in found], [row for _, row in found]


def _environment(home: Path) -> dict[str, str]:
    """Nothing of ours, no network, no reports to anybody, caches that go with the test."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "HF_HOME": str(home / "hf"),
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "AXOLOTL_DO_NOT_TRACK": "1",
        "WANDB_MODE": "disabled",
        "CUDA_VISIBLE_DEVICES": "",
        "OMP_NUM_THREADS": "1",
    }
