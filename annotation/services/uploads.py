"""Files that somebody brings to be imported: kept under their content, for a day, out of everybody's sight.

A file is found by its hash alone, which its bringer knows. Knows bytes. Must not know what is in them.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Final
from uuid import uuid4

from django.conf import settings

from annotation.errors import NotFoundError, TooLargeError

KEEP_SECONDS: Final = 24 * 3600
LONGEST_NAME: Final = 200
_HASH: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Upload:
    """A kept file: the SHA-256 of its bytes, what its bringer called it, and how long it is in bytes."""

    sha256: str
    name: str
    size: int

    @property
    def path(self) -> Path:
        """Raises NotFoundError where it is no longer kept."""
        place = _folder() / self.sha256
        if not _HASH.fullmatch(self.sha256) or not place.is_file():
            raise NotFoundError("This file is no longer kept. Bring it again.")
        return place


def keep_upload(*, pieces: Iterable[bytes], name: str) -> Upload:
    """Store a file as it comes, in constant memory.

    Raises:
        TooLargeError: it is longer than the setting IMPORT_LIMIT; nothing of it is kept.
    """
    prune_uploads()
    with passing_file(pieces=pieces) as (part, sha256, size):
        part.replace(_folder() / sha256)  # kept from now on, if it was brought before
    return Upload(sha256=sha256, name=clean_name(name), size=size)


@contextmanager
def passing_file(*, pieces: Iterable[bytes]) -> Iterator[tuple[Path, str, int]]:
    """Store a file for as long as it is used: where it lies, its hash, its length in bytes.

    Raises:
        TooLargeError: it is longer than the setting IMPORT_LIMIT; nothing of it is kept.
    """
    _folder().mkdir(mode=0o700, parents=True, exist_ok=True)
    part = _folder() / f"{uuid4().hex}.part"
    try:
        sha256, size = _write(part, pieces)
        yield part, sha256, size
    finally:
        part.unlink(missing_ok=True)


def _write(part: Path, pieces: Iterable[bytes]) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    part.touch(mode=0o600, exist_ok=False)
    with part.open("wb") as file:
        for piece in pieces:
            size += len(piece)
            if size > settings.IMPORT_LIMIT:
                raise TooLargeError(
                    f"The file is longer than {settings.IMPORT_LIMIT:,} bytes. Split it, or let an administrator "
                    "import it with manage.py import_comparisons."
                )
            digest.update(piece)
            file.write(piece)
    return digest.hexdigest(), size


def prune_uploads() -> int:
    """Remove what was brought more than a day ago; returns how many files went."""
    oldest, gone = time.time() - KEEP_SECONDS, 0
    for place in _folder().glob("*"):
        with suppress(FileNotFoundError):  # another process was quicker
            if place.stat().st_mtime < oldest:
                place.unlink()
                gone += 1
    return gone


def clean_name(name: str) -> str:
    """The last part of a path, without what cannot be printed."""
    last = PureWindowsPath(PurePosixPath(name).name).name
    return "".join(letter for letter in last if letter.isprintable())[:LONGEST_NAME] or "file"


def _folder() -> Path:
    return Path(settings.MARGIN_HOME) / "imports"
