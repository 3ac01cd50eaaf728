"""Folders that machines without a common disk share: copies in any place that fsspec can reach.

Knows files, manifests and fsspec. Must not know runs, rows or Django, nor import torch.

A copy appears whole or not at all, by the rule of the store of snapshots: files first, the manifest last, and a folder
without one is none. What is fetched is hashed before it gets its name here.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final
from urllib.parse import urlsplit

import fsspec

from annotation.core.records import canonical_json
from rewardmodel.core.files import MANIFEST, replace_directory, sha256_of, verify_manifest

BLOCK: Final = 4 * 2**20  # bytes that are copied between two signs of life
DRAFT: Final = ".fetching-"

Alive = Callable[[], None]


class StoreError(Exception):
    """The store has no such folder, or cannot take it; the message says why."""


@dataclass(frozen=True, slots=True)
class Store:
    """Folders by relative names with "/" between their parts, below `root` of a file system."""

    files: Any
    root: str

    def has(self, name: str) -> bool:
        """Whether that folder is there, whole."""
        return bool(self.files.exists(f"{self._place(name)}/{MANIFEST}"))

    def put(self, folder: Path, name: str, alive: Alive) -> None:
        """Copy `folder`, unless it is there; one without a manifest gets one in the store. `alive` is called now and
        then, and may raise to stop; the same call then begins again.

        Raises:
            StoreError: the folder holds no files.
        """
        if self.has(name):
            return
        paths = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
        if not paths:
            raise StoreError(f"{folder} holds no files to store.")
        for path in paths:
            if path != MANIFEST:
                self._copy(folder / path, f"{name}/{path}", alive)
        own = folder / MANIFEST
        if own.is_file():
            self._copy(own, f"{name}/{MANIFEST}", alive)
        else:
            hashes = {path: sha256_of(folder / path) for path in paths}
            manifest = canonical_json({"kind": "output", "files": hashes}) + "\n"
            self.files.pipe_file(f"{self._place(name)}/{MANIFEST}", manifest.encode())

    def fetch(self, name: str, to: Path) -> None:
        """Make `to` a copy of the folder. Of two that fetch at once either is right.

        Raises:
            StoreError: it is not in the store.
            ManifestError: a file is not what the manifest says; nothing was put to `to`.
        """
        if not self.has(name):
            raise StoreError(f"{name} is not in the shared storage.")
        root = self._place(name)
        to.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=DRAFT, dir=to.parent, ignore_cleanup_errors=True) as place:
            draft = Path(place) / "folder"
            for source in self.files.find(root):
                own = draft / _checked(str(source)[len(root) :].lstrip("/"))
                own.parent.mkdir(parents=True, exist_ok=True)
                with self.files.open(source, "rb") as reading, own.open("wb") as writing:
                    shutil.copyfileobj(reading, writing, BLOCK)
            verify_manifest(draft)
            if not to.exists():
                replace_directory(draft, to)

    def _copy(self, file: Path, path: str, alive: Alive) -> None:
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

    def _place(self, name: str) -> str:
        return f"{self.root}/{_checked(name)}"


def open_store(url: str) -> Store:
    """The store at a URL of fsspec, or in a folder.

    Raises:
        StoreError: fsspec cannot open it, as where the package for its protocol is not installed.
    """
    try:
        files, root = fsspec.core.url_to_fs(url)
    except (ImportError, ValueError) as error:
        scheme = urlsplit(url).scheme
        raise StoreError(f"The shared storage at {scheme}://… cannot be opened: {error}") from error
    return Store(files, str(root).rstrip("/"))


def _checked(path: str) -> str:
    """A relative path that leads nowhere else.

    Raises:
        StoreError: it would lead out of the store.
    """
    parts = PurePosixPath(path)
    if not parts.parts or parts.is_absolute() or ".." in parts.parts or "\\" in path or "\0" in path:
        raise StoreError(f"{path!r} is no name in the shared storage.")
    return str(parts)
