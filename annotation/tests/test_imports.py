"""The import command, from file to report."""

from __future__ import annotations

import gzip
import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from annotation.models import Batch, Judgment

GOOD = {
    "prompt": "Why?",
    "response_a": "Because.",
    "response_b": "No idea.",
    "choice": "a",
    "grade": "better",
}


def write(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text(
        "".join(json.dumps({"focus": "helpfulness", "annotator": "Ada", **row}) + "\n" for row in rows)
    )
    return path


def run(path: Path, **options: Any) -> str:
    out = StringIO()
    call_command("import_comparisons", str(path), form="native", stdout=out, stderr=out, **options)
    return out.getvalue()


def test_a_first_import_opens_the_first_week(db: None, tmp_path: Path) -> None:
    report = run(write(tmp_path / "a.jsonl", GOOD))
    assert "1 judgments on 1 new comparisons" in report
    assert "Imported into Week 1." in report
    assert Batch.objects.get().state == "open"


def test_the_same_file_again_changes_nothing(db: None, tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", GOOD)
    run(path)
    events = Batch.objects.get().events.count()
    assert "1 stored earlier" in run(path)
    assert (Judgment.objects.count(), Batch.objects.get().events.count()) == (1, events)


def test_the_batch_remembers_the_file_and_the_version_of_the_mapping(db: None, tmp_path: Path) -> None:
    run(write(tmp_path / "a.jsonl", GOOD))
    detail = Batch.objects.get().events.latest("pk").detail
    assert (detail["imported"], detail["format"], detail["mapping_version"]) == ("a.jsonl", "native", 1)


def test_gzip_is_read_whatever_the_file_is_called(db: None, tmp_path: Path) -> None:
    plain = write(tmp_path / "a.jsonl", GOOD)
    plain.write_bytes(gzip.compress(plain.read_bytes()))
    assert "1 judgments" in run(plain)


def test_a_bad_row_refuses_the_file_and_is_named_by_line(db: None, tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", GOOD, {**GOOD, "response_b": None})
    out = StringIO()
    with pytest.raises(CommandError, match="nothing was"):
        call_command("import_comparisons", str(path), form="native", stderr=out)
    assert out.getvalue().startswith("line 2: ")
    assert not Batch.objects.exists()


def test_skip_invalid_takes_the_good_rows(db: None, tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", GOOD, {**GOOD, "response_b": None})
    assert "1 bad rows" in run(path, skip_invalid=True)
    assert Judgment.objects.count() == 1


def test_a_rehearsal_stores_nothing(db: None, tmp_path: Path) -> None:
    assert "rehearsal" in run(write(tmp_path / "a.jsonl", GOOD), dry_run=True)
    assert not Batch.objects.exists()


def test_a_file_cut_in_the_middle_stores_nothing(db: None, tmp_path: Path) -> None:
    plain = write(tmp_path / "a.jsonl.gz", *({**GOOD, "prompt": f"Why {i}?"} for i in range(500)))
    packed = gzip.compress(plain.read_bytes())
    plain.write_bytes(packed[: len(packed) // 2])
    with pytest.raises(CommandError, match="cannot be read to its end"):
        run(plain)
    assert not Judgment.objects.exists()


def test_a_missing_file_and_a_missing_batch_are_said(db: None, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="There is no file"):
        run(tmp_path / "none.jsonl")
    with pytest.raises(CommandError, match="no batch named 'Pilot'"):
        run(write(tmp_path / "a.jsonl", GOOD), batch="Pilot")
