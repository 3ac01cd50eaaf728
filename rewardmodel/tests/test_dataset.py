"""Reading a snapshot's folder, as it is written now and as it was."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from annotation.models import Batch, Comparison, User
from annotation.services.batches import seal_batch
from annotation.services.snapshots import create_snapshot
from annotation.snapshots import local_folder
from rewardmodel.core.dataset import read_snapshot
from rewardmodel.core.report import RunFailedError
from rewardmodel.tests.examples import make_record, write_snapshot
from tests.factories import make_judgment

Pairs = Callable[..., list[Comparison]]


@pytest.fixture
def folder(ada: User, week: Batch, pairs: Pairs, home: Path) -> Path:
    pairs(20)
    for _ in range(20):
        make_judgment(ada)
    return local_folder(create_snapshot(batches=[seal_batch(batch=week)]))


def test_a_snapshot_of_the_web_side_is_read_with_both_splits(folder: Path) -> None:
    records, identity = read_snapshot(folder)
    assert len({record.id for record in records}) == len(records) == 20
    assert {record.split for record in records} == {"train", "test"}
    assert identity["name"] == "Week 1 small"
    assert len(identity["sha256"]) == 64


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_split_that_was_changed_or_is_gone_is_refused(folder: Path, split: str) -> None:
    place = folder / f"data/{split}.jsonl"
    place.write_bytes(place.read_bytes() + b" ")
    with pytest.raises(RunFailedError, match="not what its manifest says"):
        read_snapshot(folder)
    place.unlink()
    with pytest.raises(RunFailedError, match="cannot be read"):
        read_snapshot(folder)


def test_a_manifest_without_its_files_is_refused(folder: Path) -> None:
    (folder / "manifest.json").write_text('{"name": "x", "sha256": "0", "files": {}}')
    with pytest.raises(RunFailedError, match="does not list"):
        read_snapshot(folder)


def test_a_snapshot_of_one_file_is_read_too(tmp_path: Path) -> None:
    records = [make_record(number) for number in range(3)]
    found, identity = read_snapshot(write_snapshot(tmp_path / "old", records))
    assert (found, identity["name"]) == (records, "old")


def test_a_line_separator_in_a_text_ends_no_line(tmp_path: Path) -> None:
    records = [make_record(0, chosen="one\u2028two\u0085three\rfour\nfive")]
    found, _ = read_snapshot(write_snapshot(tmp_path / "old", records))
    assert found == records
