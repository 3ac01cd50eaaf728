"""What runs make, shared by machines without a common disk: whole or not at all, and checked by hashes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from pytest_django import Settings

from annotation.errors import NotFoundError
from rewardmodel.core.files import MANIFEST, ManifestError, verify_manifest, write_manifest
from training.core.store import Store, StoreError, open_store
from training.models import Run
from training.services.storage import ensure_here, store_output

NAME = "runs/one/output"


@pytest.fixture(params=["file", "memory"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    yield {"file": f"file://{tmp_path}/shared", "memory": "memory://house/shared"}[request.param]
    fsspec.filesystem("memory").store.clear()


@pytest.fixture
def store(url: str) -> Store:
    return open_store(url)


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A small policy's folder."""
    folder = tmp_path / "made"
    (folder / "adapter").mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"weights")
    (folder / "adapter/config.json").write_text("{}")
    write_manifest(folder, {"kind": "policy"})
    return folder


def nobody() -> None: ...


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def test_what_is_put_comes_back_byte_for_byte(store: Store, made: Path, tmp_path: Path) -> None:
    assert not store.has(NAME)
    store.put(made, NAME, nobody)
    assert store.has(NAME)
    store.fetch(NAME, tmp_path / "other/house/output")
    assert contents(tmp_path / "other/house/output") == contents(made)


def test_a_folder_without_a_manifest_gets_one_in_the_store(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "lines"
    folder.mkdir()
    (folder / "winners.jsonl").write_text("{}\n")
    store.put(folder, NAME, nobody)
    assert not (folder / MANIFEST).exists()
    store.fetch(NAME, tmp_path / "fetched")
    assert set(verify_manifest(tmp_path / "fetched")["files"]) == {"winners.jsonl"}


def test_a_copy_that_is_stopped_anywhere_is_none_and_can_be_made_again(
    store: Store, made: Path, tmp_path: Path
) -> None:
    calls = 0
    store.put(made, "counted", lambda: None)

    for moment in range(1, 7):  # twice for each of three files

        def stop(moment: int = moment) -> None:
            nonlocal calls
            calls += 1
            if calls == moment:
                raise KeyboardInterrupt

        calls = 0
        with pytest.raises(KeyboardInterrupt):
            store.put(made, f"cut/{moment}", stop)
        assert not store.has(f"cut/{moment}")
        with pytest.raises(StoreError):
            store.fetch(f"cut/{moment}", tmp_path / f"fetched-{moment}")
        store.put(made, f"cut/{moment}", nobody)
        store.fetch(f"cut/{moment}", tmp_path / f"fetched-{moment}")
        assert contents(tmp_path / f"fetched-{moment}") == contents(made)


@pytest.mark.parametrize("damage", ["changed", "missing", "added"])
def test_a_damaged_copy_is_refused_and_leaves_nothing(
    store: Store, made: Path, tmp_path: Path, damage: str
) -> None:
    store.put(made, NAME, nobody)
    place = f"{store.root}/{NAME}"
    if damage == "missing":
        store.files.rm(f"{place}/model.safetensors")
    else:
        name = "model.safetensors" if damage == "changed" else "extra"
        store.files.pipe_file(f"{place}/{name}", b"other")
    with pytest.raises(ManifestError):
        store.fetch(NAME, tmp_path / "home/fetched")
    assert list((tmp_path / "home").iterdir()) == []


def test_what_is_there_is_not_copied_again(store: Store, made: Path) -> None:
    store.put(made, NAME, nobody)

    def never() -> None:
        raise AssertionError("a file is copied")

    store.put(made, NAME, never)


def test_of_two_that_fetch_at_once_the_second_finds_the_first(
    store: Store, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put(made, NAME, nobody)
    to = tmp_path / "fetched"

    def verify(folder: Path) -> dict[str, Any]:
        monkeypatch.undo()
        store.fetch(NAME, to)
        return verify_manifest(folder)

    monkeypatch.setattr("training.core.store.verify_manifest", verify)
    store.fetch(NAME, to)
    assert contents(to) == contents(made)


@pytest.mark.parametrize("name", ["", "/etc", "../x", "a/../../x", "a\\b", "a\0b"])
def test_no_name_leads_out_of_the_store(store: Store, made: Path, name: str) -> None:
    with pytest.raises(StoreError):
        store.put(made, name, nobody)


def test_an_empty_folder_cannot_be_stored(store: Store, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(StoreError, match="no files"):
        store.put(tmp_path / "empty", NAME, nobody)


def test_a_protocol_that_nothing_speaks_is_named() -> None:
    with pytest.raises(StoreError, match="nowhere://"):
        open_store("nowhere://bucket/folder")


@pytest.mark.django_db
def test_another_machine_gets_the_output_of_a_run(home: Path, url: str, settings: Settings) -> None:
    settings.MARGIN_STORE = url
    run = Run.objects.create(kind="finetune")
    (run.folder / "output").mkdir(parents=True)
    (run.folder / "output/model.safetensors").write_bytes(b"weights")
    write_manifest(run.folder / "output", {"kind": "policy"})
    store_output(run, alive=nobody)
    path = f"runs/{run.uid}/output"
    assert ensure_here(path) == home / path
    shutil.rmtree(home / "runs")
    assert (ensure_here(path) / "model.safetensors").read_bytes() == b"weights"


@pytest.mark.django_db
def test_a_run_that_made_no_files_stores_none(home: Path, url: str, settings: Settings) -> None:
    settings.MARGIN_STORE = url
    run = Run.objects.create(kind="score")
    store_output(run, alive=nobody)
    (run.folder / "output").mkdir(parents=True)
    store_output(run, alive=nobody)
    assert not open_store(url).has(f"runs/{run.uid}/output")


def test_without_a_storage_what_is_missing_is_missing(home: Path) -> None:
    with pytest.raises(NotFoundError, match="Restore it from a backup"):
        ensure_here("runs/gone/output")


def test_what_neither_has_is_missing_with_the_reason(home: Path, url: str, settings: Settings) -> None:
    settings.MARGIN_STORE = url
    with pytest.raises(NotFoundError, match="not in the shared storage"):
        ensure_here("runs/gone/output")
    settings.MARGIN_STORE = "nowhere://bucket"
    with pytest.raises(NotFoundError, match="cannot be opened"):
        ensure_here("runs/gone/output")
