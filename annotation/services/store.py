"""Where the files of snapshots lie: a folder on this machine, or any place that fsspec can reach.

What is put there appears whole or not at all: a folder here is renamed into its place; elsewhere the manifest comes
last, and a folder without one is no snapshot. The row in the database says which folders count.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Final, Protocol, cast
from urllib.parse import unquote, urlsplit

from django.conf import settings

from annotation.errors import NotFoundError

MANIFEST: Final = "manifest.json"
BLOCK: Final = 4 * 2**20  # bytes that are copied between two signs of life
DRAFT: Final = ".draft-"

Alive = Callable[[], None]


class Store(Protocol):
    """Files by relative paths with "/" between their parts."""

    def draft(self, name: str) -> Path:
        """An empty folder on this machine's disk to write in; one that is left over is emptied."""

    def publish(self, draft: Path, name: str, alive: Alive) -> None:
        """Make the draft the folder `name`, which is new. `alive` is called now and then, and may raise to stop."""

    def add(self, file: Path, path: str, alive: Alive) -> None:
        """One further file, in the place of one that is there."""

    def open(self, path: str) -> BinaryIO:
        """To read, from anywhere in it. Raises NotFoundError."""

    def has(self, name: str) -> bool:
        """Whether that folder is there, whole."""

    def remove(self, name: str) -> None:
        """A folder with all in it, if it is there."""

    def folder(self, name: str) -> Path:
        """The folder on this machine's disk, fetched where need be. Raises NotFoundError."""


def store() -> Store:
    """The one that the setting SNAPSHOT_STORE names; empty: the folder `snapshots` below MARGIN_HOME."""
    home = Path(settings.MARGIN_HOME) / "snapshots"
    url = settings.SNAPSHOT_STORE
    if not url:
        return LocalStore(home)
    parts = urlsplit(url)
    if parts.scheme in ("", "file", "local"):
        return LocalStore(Path(unquote(parts.path) if parts.scheme else url))
    import fsspec  # noqa: PLC0415  only where files lie elsewhere

    files, root = fsspec.core.url_to_fs(url)
    return RemoteStore(files, root.rstrip("/"), home)


def checked(path: str) -> str:
    """A relative path that leads nowhere else.

    Raises:
        NotFoundError: it would lead out of the store.
    """
    parts = PurePosixPath(path)
    if not parts.parts or parts.is_absolute() or ".." in parts.parts or "\\" in path or "\0" in path:
        raise NotFoundError("There is no such file.")
    return str(parts)


def _draft(root: Path, name: str) -> Path:
    place = root / f"{DRAFT}{checked(name)}"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    return place


@dataclass(frozen=True, slots=True)
class LocalStore:
    """A folder of this machine, or one that is mounted."""

    root: Path

    def draft(self, name: str) -> Path:
        return _draft(self.root, name)

    def publish(self, draft: Path, name: str, alive: Alive) -> None:
        alive()
        draft.replace(self._place(name))
        _sync(self.root)

    def add(self, file: Path, path: str, alive: Alive) -> None:
        alive()
        place = self._place(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        # Beside its place first: a rename is whole within one file system only.
        beside = place.with_name(f".{place.name}.tmp")
        shutil.copyfile(file, beside)
        with beside.open("rb+") as copied:
            os.fsync(copied.fileno())
        beside.replace(place)
        _sync(place.parent)

    def open(self, path: str) -> BinaryIO:
        place = self._place(path)
        if not place.is_file():
            raise NotFoundError(
                f"{path} is missing on the server. Its administrator can restore it from a backup."
            )
        return place.open("rb")

    def has(self, name: str) -> bool:
        return (self._place(name) / MANIFEST).is_file()

    def remove(self, name: str) -> None:
        place = self._place(name)
        if place.is_dir():
            # Out of sight at once, since what is half removed is no snapshot.
            going = place.with_name(f"{DRAFT}gone-{place.name}")
            place.replace(going)
            shutil.rmtree(going, ignore_errors=True)

    def folder(self, name: str) -> Path:
        place = self._place(name)
        if not place.is_dir():
            raise NotFoundError(f"{name} is missing below {self.root}. Restore it from a backup.")
        return place

    def _place(self, path: str) -> Path:
        root = self.root.resolve()
        place = (root / checked(path)).resolve()
        if not place.is_relative_to(root):
            raise NotFoundError("There is no such file.")
        return place


@dataclass(frozen=True, slots=True)
class RemoteStore:
    """Any file system of fsspec. `cache` is a folder here for drafts and for what is fetched."""

    files: Any
    root: str
    cache: Path

    def draft(self, name: str) -> Path:
        return _draft(self.cache, name)

    def publish(self, draft: Path, name: str, alive: Alive) -> None:
        paths = sorted(path.relative_to(draft).as_posix() for path in draft.rglob("*") if path.is_file())
        for path in sorted(paths, key=lambda path: path == MANIFEST):
            self.add(draft / path, f"{name}/{path}", alive)
        shutil.rmtree(draft, ignore_errors=True)

    def add(self, file: Path, path: str, alive: Alive) -> None:
        place = self._place(path)
        self.files.makedirs(place.rpartition("/")[0], exist_ok=True)
        alive()
        try:
            with file.open("rb") as source, self.files.open(place, "wb") as target:
                while block := source.read(BLOCK):
                    target.write(block)
                    alive()
        except BaseException:
            if self.files.exists(place):
                self.files.rm(place)  # a stream that is closed early counts as a whole file
            raise

    def open(self, path: str) -> BinaryIO:
        try:
            return cast("BinaryIO", self.files.open(self._place(path), "rb"))
        except FileNotFoundError:
            raise NotFoundError(
                f"{path} is missing in the store of snapshots. Restore it from a backup."
            ) from None

    def has(self, name: str) -> bool:
        return bool(self.files.exists(f"{self._place(name)}/{MANIFEST}"))

    def remove(self, name: str) -> None:
        place = self._place(name)
        if self.has(name):
            self.files.rm(f"{place}/{MANIFEST}")  # first: without it nothing else counts
        if self.files.exists(place):
            self.files.rm(place, recursive=True)
        shutil.rmtree(self.cache / checked(name), ignore_errors=True)

    def folder(self, name: str) -> Path:
        here = LocalStore(self.cache)
        place = self.cache / checked(name)
        if (place / MANIFEST).is_file():
            return place
        self.cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=DRAFT, dir=self.cache, ignore_cleanup_errors=True) as draft:
            self._fetch(name, Path(draft))
            if not place.exists():
                here.publish(Path(draft), name, lambda: None)
        return place

    def _fetch(self, name: str, to: Path) -> None:
        root = self._place(name)
        if not self.files.exists(f"{root}/{MANIFEST}"):
            raise NotFoundError(f"{name} is missing in the store of snapshots. Restore it from a backup.")
        for place in self.files.find(root):
            own = to / checked(place[len(root) :].lstrip("/"))
            own.parent.mkdir(parents=True, exist_ok=True)
            with self.files.open(place, "rb") as source, own.open("wb") as target:
                shutil.copyfileobj(source, target, BLOCK)

    def _place(self, path: str) -> str:
        return f"{self.root}/{checked(path)}"


def remove_drafts(*, older_than: float, keep: frozenset[str] = frozenset()) -> int:
    """Folders that dead processes left on this machine, untouched for so many seconds; how many went.

    `keep` are the names of drafts whose writers live.
    """
    place = store()
    root = place.root if isinstance(place, LocalStore) else Path(settings.MARGIN_HOME) / "snapshots"
    gone = 0
    for draft in root.glob(f"{DRAFT}*") if root.is_dir() else ():
        if draft.name.removeprefix(DRAFT) not in keep and _age(draft) > older_than:
            shutil.rmtree(draft, ignore_errors=True)
            gone += 1
    return gone


def _age(folder: Path) -> float:
    try:
        newest = max(path.stat().st_mtime for path in (folder, *folder.rglob("*")))
    except OSError:
        return 0.0  # somebody else removes it at this moment
    return time.time() - newest


def _sync(directory: Path) -> None:
    """Make renames within it survive a power cut."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
