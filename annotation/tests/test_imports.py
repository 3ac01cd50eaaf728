"""The import command, from file to report."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.core.management import CommandError, call_command
from pytest_django import DjangoAssertNumQueries

from annotation.core.formats.lines import UnreadableFileError
from annotation.core.records import content_key
from annotation.errors import InvalidImportError
from annotation.models import AuditEvent, Batch, Judgment, User
from annotation.services.imports import Source, import_file
from annotation.services.ingest import earlier_pseudonym
from annotation.services.rows import rows_of

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


TASK = {
    "id": 1,
    "data": {"prompt": "Name a bird.", "answer1": "Wren.", "answer2": "Bat."},
    "annotations": [
        {"completed_by": 3, "result": [{"from_name": "c", "type": "pairwise", "value": {"selected": "left"}}]}
    ],
}


def command(path: Path, form: str, **options: Any) -> str:
    out = StringIO()
    call_command("import_comparisons", str(path), form=form, stdout=out, stderr=out, **options)
    return out.getvalue()


def test_the_pseudonym_of_an_imported_annotator_cannot_be_worked_out_from_the_file(
    db: None, tmp_path: Path
) -> None:
    run(write(tmp_path / "a.jsonl", GOOD))
    judgment = Judgment.objects.select_related("annotator", "comparison").get()
    name = judgment.annotator.username
    assert judgment.annotator.pseudonym != earlier_pseudonym(name)
    # Published beside the comparison's key, the id would give the name away to whoever tries names.
    assert judgment.uid != UUID(hex=content_key("judgment", judgment.comparison.key, name))


def test_an_annotator_of_an_earlier_version_keeps_pseudonym_and_ids(db: None, tmp_path: Path) -> None:
    earlier = earlier_pseudonym("native:Ada")
    User.objects.create(username="native:Ada", pseudonym=earlier, imported=True, is_active=False)
    path = write(tmp_path / "a.jsonl", GOOD)
    run(path)
    judgment = Judgment.objects.select_related("annotator", "comparison").get()
    assert judgment.annotator.pseudonym == earlier == "annotator-ad4a31c828"
    assert judgment.uid == UUID(hex=content_key("judgment", judgment.comparison.key, "native:Ada"))
    assert "1 stored earlier" in run(path)


def test_a_mapping_is_guessed_and_printed_or_given(db: None, tmp_path: Path) -> None:
    path = tmp_path / "tasks.json"
    path.write_text(json.dumps([TASK]))
    report = command(path, "label-studio")
    assert '"choice":"c"' in report
    assert "1 judgments on 1 new comparisons" in report
    given = {"prompt": "prompt", "response_a": "answer2", "response_b": "answer1", "choice": "c"}
    report = command(path, "label-studio", mapping=json.dumps({**given, "values": {"left": "a"}}))
    assert "1 stored earlier" in report  # the same annotator on the same pair; the first counts


@pytest.mark.parametrize(
    ("form", "mapping", "says"),
    [
        ("native", "{}", "takes no mapping"),
        ("label-studio", "{", "cannot be understood"),
        ("label-studio", "", "cannot be guessed"),
    ],
)
def test_a_mapping_that_cannot_be_is_said(
    db: None, tmp_path: Path, form: str, mapping: str, says: str
) -> None:
    with pytest.raises(CommandError, match=says):
        command(write(tmp_path / "a.jsonl", GOOD), form, mapping=mapping)


def test_of_many_bad_rows_a_thousand_are_printed(db: None, tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", GOOD, *[{**GOOD, "choice": "c"}] * 1005)
    report = run(path, skip_invalid=True)
    assert report.count("choice is 'c'") == 1000
    assert "… and 5 more bad rows" in report
    assert "1,005 bad rows" in report


def test_a_file_with_a_bad_row_is_refused_before_the_database_is_touched(
    db: None, tmp_path: Path, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    path = write(tmp_path / "a.jsonl", *[GOOD] * 600, {**GOOD, "choice": "c"})
    with django_assert_num_queries(0), pytest.raises(InvalidImportError):
        import_file(source=Source(path=path, form="native"))


def test_a_batch_of_its_own_stays_planned_while_another_is_open(week: Batch, tmp_path: Path) -> None:
    assert "Imported into Week 2." in run(write(tmp_path / "a.jsonl", GOOD), new_batch=True)
    assert Batch.objects.get(number=2).state == "planned"
    assert AuditEvent.objects.filter(action="batch.imported").count() == 1


def table(path: Path, *rows: dict[str, Any], **options: Any) -> Path:
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pyarrow.Table.from_pylist(list(rows)), path, **options)
    return path


def test_parquet_is_read_as_the_json_lines_that_it_would_be(tmp_path: Path) -> None:
    moment = datetime(2026, 3, 1, tzinfo=UTC)
    path = table(
        tmp_path / "a", {"a": [{"b": "ü"}], "n": float("nan"), "t": moment, "i": 1, "f": 0.5, "x": None}
    )
    (row,) = map(json.loads, rows_of(path))
    assert row == {
        "a": [{"b": "ü"}],
        "n": None,
        "t": "2026-03-01T00:00:00+00:00",
        "i": 1,
        "f": 0.5,
        "x": None,
    }


def test_parquet_that_unpacks_to_more_than_the_limit_is_refused(tmp_path: Path) -> None:
    # One text, named by a number in each of 5,000 rows: 50 MB from a file of less than a hundredth of that.
    path = table(tmp_path / "a", *[{"prompt": "x" * 10_000}] * 5000, compression="zstd")
    assert path.stat().st_size < 100_000
    rows = rows_of(path, max_file=1_000_000)
    with pytest.raises(UnreadableFileError, match="unpacks to more than 1,000,000 bytes"):
        list(rows)


def test_damaged_parquet_is_refused(tmp_path: Path) -> None:
    path = table(tmp_path / "a", {"a": 1})
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(UnreadableFileError, match="damaged or cut short"):
        list(rows_of(path))
