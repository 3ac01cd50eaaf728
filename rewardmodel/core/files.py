"""Files that are either whole or absent, and the manifest that says what a directory should hold.

Knows bytes, hashes and renames. Must not know what the files mean, and must not import torch: the web process
reads manifests.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Final

from annotation.core.records import canonical_json

MANIFEST: Final = "manifest.json"


class ManifestError(ValueError):
    """A directory is not what its manifest says."""


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write `content` (text as UTF-8) so that a reader, or a restart after a crash, sees all of it or none.

    The temporary file is hidden and lies beside `path`, since a rename is atomic within one file system only.
    """
    _write_chunks(path, [content.encode() if isinstance(content, str) else content])


def write_lines_atomically(path: Path, lines: Iterable[str]) -> None:
    """As `write_atomically`, one line after the other: what there is of them need not be in memory at once.

    A line brings its own end.
    """
    _write_chunks(path, (line.encode() for line in lines))


def _write_chunks(path: Path, chunks: Iterable[bytes]) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("wb") as file:
        file.writelines(chunks)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_directory(path.parent)


def replace_directory(source: Path, target: Path) -> None:
    """Move the complete directory `source` to `target`; what an earlier, killed attempt left there goes away.

    Every file is on disk before the move: a power cut after it must not leave a name without its bytes.
    """
    for path in _files_below(source):
        with path.open("rb") as file:
            os.fsync(file.fileno())
    if target.exists():
        shutil.rmtree(target)
    source.rename(target)
    sync_directory(target.parent)


def sync_directory(directory: Path) -> None:
    """Make renames within `directory` survive a power cut."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256_of(path: Path) -> str:
    """The hexadecimal SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_manifest(directory: Path, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Write `manifest.json` with `fields` and `files`, the hash of every other file below.

    Return what was written. The JSON is canonical: equal directories have equal manifests. Call it last.
    """
    manifest = {**fields, "files": _hashes(directory)}
    write_atomically(directory / MANIFEST, canonical_json(manifest) + "\n")
    return manifest


def read_manifest(directory: Path) -> dict[str, Any]:
    """The manifest's content.

    Raises:
        ManifestError: if there is none, or it is not a JSON object.
    """
    try:
        manifest = json.loads((directory / MANIFEST).read_bytes())
    except (OSError, ValueError) as error:
        raise ManifestError(f"{directory.name} has no readable {MANIFEST}") from error
    if not isinstance(manifest, dict):
        raise ManifestError(f"{MANIFEST} of {directory.name} is not an object")
    return manifest


def verify_manifest(directory: Path) -> dict[str, Any]:
    """Read the manifest and hash every file again.

    Raises:
        ManifestError: if a file is missing, changed or not listed, or a listed name leads elsewhere.
    """
    manifest = read_manifest(directory)
    listed = manifest.get("files")
    if not isinstance(listed, dict):
        raise ManifestError(f"{MANIFEST} of {directory.name} lists no files")
    for name in listed:
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise ManifestError(f"{MANIFEST} of {directory.name} lists a name outside of it: {name}")
    found = _hashes(directory)
    for name in sorted(listed.keys() | found.keys()):
        if name not in found:
            raise ManifestError(f"{directory.name} lacks {name}")
        if name not in listed:
            raise ManifestError(f"{directory.name} holds {name}, which its {MANIFEST} does not list")
        if listed[name] != found[name]:
            raise ManifestError(f"{name} of {directory.name} is not the file that its {MANIFEST} lists")
    return manifest


def _files_below(directory: Path) -> list[Path]:
    return sorted(path for path in directory.rglob("*") if path.is_file())


def _hashes(directory: Path) -> dict[str, str]:
    own = directory / MANIFEST
    return {
        path.relative_to(directory).as_posix(): sha256_of(path)
        for path in _files_below(directory)
        if path != own
    }
