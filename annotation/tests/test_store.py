"""Where files lie: a folder here, or whatever fsspec reaches. Whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from annotation.errors import NotFoundError
from annotation.services.store import DRAFT, MANIFEST, RemoteStore, Store, checked, remove_drafts, store


@pytest.fixture(params=["", "folder", "file", "memory"])
def place(request: pytest.FixtureRequest, settings: Settings, tmp_path: Path) -> Iterator[Store]:
    settings.SNAPSHOT_STORE = {
        "": "",
        "folder": str(tmp_path / "else where"),
        "file": f"file://{tmp_path}/by%20url",
        "memory": "memory://house/snapshots",
    }[request.param]
    yield store()
    if request.param == "memory":
        import fsspec  # noqa: PLC0415

        fsspec.filesystem("memory").store.clear()


def nobody() -> None: ...


def put(place: Store, name: str = "one") -> None:
    draft = place.draft("d")
    (draft / "data").mkdir()
    (draft / "data/train.jsonl").write_bytes(b"0123456789")
    (draft / MANIFEST).write_text("{}")
    place.publish(draft, name, nobody)
    assert not draft.exists()


def test_what_is_published_can_be_read_from_anywhere(place: Store) -> None:
    put(place)
    assert place.has("one")
    with place.open("one/data/train.jsonl") as file:
        file.seek(3)
        assert file.read(4) == b"3456"
    assert (place.folder("one") / "data/train.jsonl").read_bytes() == b"0123456789"


def test_a_file_is_added_in_the_place_of_another(place: Store, tmp_path: Path) -> None:
    put(place)
    for content in (b"first", b"second"):
        (tmp_path / "new").write_bytes(content)
        place.add(tmp_path / "new", "one/formats/x/train.jsonl", nobody)
        with place.open("one/formats/x/train.jsonl") as file:
            assert file.read() == content


def test_what_is_removed_is_gone_and_may_be_removed_again(place: Store) -> None:
    put(place)
    place.remove("one")
    place.remove("one")
    assert not place.has("one")
    for ask in (lambda: place.open("one/data/train.jsonl"), lambda: place.folder("one")):
        with pytest.raises(NotFoundError):
            ask()


def test_elsewhere_the_manifest_comes_last(settings: Settings) -> None:
    settings.SNAPSHOT_STORE = "memory://last"
    place = store()
    assert isinstance(place, RemoteStore)
    draft = place.draft("d")
    for name in (MANIFEST, "a", "z"):
        (draft / name).write_text("x")
    told = 0

    def stop() -> None:
        nonlocal told
        told += 1
        if told == 5:  # within the last of three files, each told of twice
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        place.publish(draft, "cut", stop)
    assert {Path(name).name for name in place.files.find("/last/cut")} - {MANIFEST} == {"a", "z"}
    with pytest.raises(NotFoundError):
        _ = place.has("cut") or place.folder("cut")
    place.files.store.clear()


@pytest.mark.parametrize("path", ["", "/etc/passwd", "../x", "a/../../x", "a\\..\\x", "a\0b", "."])
def test_no_path_leads_out(place: Store, path: str) -> None:
    asked: Any = path
    for ask in (place.open, place.folder, place.remove):
        with pytest.raises(NotFoundError):
            ask(asked)


def test_no_link_leads_out(home: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    (home / "snapshots").mkdir()
    (home / "snapshots/link").symlink_to(tmp_path)
    with pytest.raises(NotFoundError):
        store().open("link/secret")


def test_checked_keeps_what_stays_inside() -> None:
    assert checked("a/b.c") == "a/b.c"


def test_old_drafts_go_and_those_of_the_living_stay(home: Path) -> None:
    place = store()
    old, living, young = (place.draft(name) for name in ("old", "living", "young"))
    for draft in (old, living):
        os.utime(draft, (1, 1))
    assert remove_drafts(older_than=60, keep=frozenset({"living"})) == 1
    assert [draft.exists() for draft in (old, living, young)] == [False, True, True]
    assert living.name == f"{DRAFT}living"
