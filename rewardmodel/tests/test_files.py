"""Whole files and manifests."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from rewardmodel.core.files import (
    ManifestError,
    read_manifest,
    replace_directory,
    sha256_of,
    verify_manifest,
    write_atomically,
    write_lines_atomically,
    write_manifest,
)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    root = tmp_path / "model"
    (root / "adapter").mkdir(parents=True)
    (root / "config.json").write_text("{}")
    (root / "adapter" / "weights").write_bytes(b"abc")
    return root


def test_a_file_is_replaced_whole_and_leaves_no_temporary_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "run" / "result.json"
    path.parent.mkdir()
    write_atomically(path, "old")
    write_atomically(path, "né")
    assert path.read_bytes() == b"n\xc3\xa9"
    assert [p.name for p in path.parent.iterdir()] == ["result.json"]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    write_atomically(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_atomically(path, "\ud800")
    assert path.read_text() == "old"


def test_lines_that_break_off_leave_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    write_lines_atomically(path, (f"{number}\n" for number in range(3)))
    with pytest.raises(ZeroDivisionError):
        write_lines_atomically(path, (f"{1 // (1 - number)}\n" for number in range(3)))
    assert path.read_text() == "0\n1\n2\n"


def test_the_hash_is_the_published_one_of_abc(directory: Path) -> None:
    # FIPS 180-2, appendix B.1
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256_of(directory / "adapter" / "weights") == expected


def test_a_manifest_lists_every_file_but_itself(directory: Path) -> None:
    write_manifest(directory, {"kind": "policy"})
    manifest = read_manifest(directory)
    assert manifest["kind"] == "policy"
    assert sorted(manifest["files"]) == ["adapter/weights", "config.json"]
    assert verify_manifest(directory) == manifest


def test_writing_a_manifest_twice_gives_the_same_bytes(directory: Path) -> None:
    write_manifest(directory, {"b": 1, "a": 2})
    first = (directory / "manifest.json").read_bytes()
    write_manifest(directory, {"a": 2, "b": 1})
    assert (directory / "manifest.json").read_bytes() == first


def test_a_changed_file_is_found(directory: Path) -> None:
    write_manifest(directory, {})
    (directory / "adapter" / "weights").write_bytes(b"abd")
    with pytest.raises(ManifestError, match="adapter/weights"):
        verify_manifest(directory)


def test_a_missing_file_is_found(directory: Path) -> None:
    write_manifest(directory, {})
    (directory / "config.json").unlink()
    with pytest.raises(ManifestError, match=r"lacks config\.json"):
        verify_manifest(directory)


def test_a_file_that_was_slipped_in_is_found(directory: Path) -> None:
    write_manifest(directory, {})
    (directory / "model.bin").write_bytes(b"")
    with pytest.raises(ManifestError, match=r"model\.bin"):
        verify_manifest(directory)


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "adapter/../../secret"])
def test_a_listed_name_outside_of_the_directory_is_refused(directory: Path, name: str) -> None:
    (directory / "manifest.json").write_text(json.dumps({"files": {name: "0" * 64}}))
    with pytest.raises(ManifestError, match="outside"):
        verify_manifest(directory)


@pytest.mark.parametrize("content", ["", "[]", "{", "\xff"])
def test_an_unreadable_manifest_is_one_kind_of_error(directory: Path, content: str) -> None:
    (directory / "manifest.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(ManifestError):
        read_manifest(directory)


def test_a_directory_takes_the_place_of_a_half_written_one(directory: Path, tmp_path: Path) -> None:
    target = tmp_path / "output"
    target.mkdir()
    (target / "half").touch()
    replace_directory(directory, target)
    assert sorted(p.name for p in target.iterdir()) == ["adapter", "config.json"]
    assert not directory.exists()


def test_reading_a_manifest_needs_no_torch() -> None:
    code = "import sys, rewardmodel.core.files; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
