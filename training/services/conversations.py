"""Files of conversations to fine-tune on: checked whole, then kept under the hash of what they say.

Knows a folder below MARGIN_HOME and what is wrong with a file. Must not know who learns from it. No file is read by a
path that a request names: it is brought, and found again by its hash.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final
from uuid import uuid4

from django.conf import settings

from annotation.core.formats.lines import UnreadableFileError, open_rows
from annotation.errors import NotFoundError
from rewardmodel.core.files import sync_directory
from training.core.conversations import LineError, check_lines
from training.errors import InvalidSpecError

SHOWN: Final = 20  # lines at fault that are named
_HASH: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Conversations:
    """A kept file: its hash, and how many conversations are in it."""

    sha256: str
    count: int


def keep_conversations(*, source: Path | IO[bytes], max_file: int | None = None) -> Conversations:
    """Store the conversations of a file, JSON lines or one JSON array, plain or gzip; all of them or nothing.

    `max_file` is in bytes, by default the setting IMPORT_LIMIT. The same conversations again are the same file.

    Raises:
        InvalidSpecError: lists the lines that are no conversations, or says that there is none.
    """
    folder = _folder()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = folder / f"{uuid4().hex}.part"
    try:
        kept = _write(part, source, max_file or settings.IMPORT_LIMIT)
        part.replace(folder / f"{kept.sha256}.jsonl")
        sync_directory(folder)
    finally:
        part.unlink(missing_ok=True)
    return kept


def conversations_at(sha256: str) -> Path:
    """Where the file with this hash lies.

    Raises:
        NotFoundError: it is not kept.
    """
    place = _folder() / f"{sha256}.jsonl"
    if not _HASH.fullmatch(sha256) or not place.is_file():
        raise NotFoundError(f"No conversations are kept as {sha256[:64]!r}. Bring their file again.")
    return place


def _write(part: Path, source: Path | IO[bytes], max_file: int) -> Conversations:
    digest, count = hashlib.sha256(), 0
    faults: list[LineError] = []
    with part.open("wb") as file:
        try:
            for line in check_lines(open_rows(source, max_file=max_file)):
                if isinstance(line, LineError):
                    faults.append(line)
                    if len(faults) > SHOWN:
                        break
                elif not faults:
                    digest.update(line.encode())
                    file.write(line.encode())
                    count += 1
        except UnreadableFileError as error:
            faults.append(LineError(error.line, error.reason))
    if faults:
        raise _refused(faults)
    if not count:
        raise InvalidSpecError(
            "Nothing was kept. The file holds no conversation.", errors=[_problem(1, "It is empty.")]
        )
    return Conversations(digest.hexdigest(), count)


def _refused(faults: list[LineError]) -> InvalidSpecError:
    named = faults[:SHOWN]
    listed = "; ".join(f"line {fault.line}: {fault.reason}" for fault in named)
    more = " and more" if len(faults) > SHOWN else ""
    return InvalidSpecError(
        f"Nothing was kept. {listed}{more}.", errors=[_problem(fault.line, fault.reason) for fault in named]
    )


def _problem(line: int, reason: str) -> dict[str, object]:
    return {"field": f"file.{line}", "reason": f"Line {line}: {reason}"}


def _folder() -> Path:
    return Path(settings.MARGIN_HOME) / "conversations"
