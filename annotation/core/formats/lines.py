"""The lines of a file that somebody brought: plain or gzip, UTF-8, each of bounded length.

Knows bytes, compression and limits. Must not know what a line says.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Final

MAX_LINE: Final = 4 * 1024**2
MAX_FILE: Final = 4 * 1024**3
GZIP_MAGIC: Final = b"\x1f\x8b"
BOM: Final = b"\xef\xbb\xbf"


class UnreadableFileError(Exception):
    """A file that cannot be read on from some line; `byte` counts from 1 within it, where one is at fault."""

    def __init__(self, line: int, reason: str, byte: int | None = None) -> None:
        where = f"line {line}" if byte is None else f"line {line}, byte {byte}"
        super().__init__(f"{where}: {reason}")
        self.line = line
        self.byte = byte
        self.reason = reason


def open_lines(
    source: Path | IO[bytes], *, max_line: int = MAX_LINE, max_file: int = MAX_FILE
) -> Iterator[str]:
    """Lines without their ends, in constant memory. Gzip is known by its first bytes, not by a suffix.

    A path is opened and closed here; a stream must be able to seek and is left open. The limits are in bytes
    after decompression, so that a small file that unpacks to an endless one is refused.

    Raises:
        UnreadableFileError: broken compression, bytes that are not UTF-8, a line or a file beyond its limit.
    """
    with ExitStack() as stack:
        raw = stack.enter_context(source.open("rb")) if isinstance(source, Path) else source
        raw.seek(0)
        packed = raw.read(len(GZIP_MAGIC)) == GZIP_MAGIC
        raw.seek(0)
        stream = stack.enter_context(gzip.GzipFile(fileobj=raw)) if packed else raw
        total = 0
        for number, line in enumerate(_lines(stream, max_line), start=1):
            total += len(line)
            if total > max_file:
                raise UnreadableFileError(number, f"the file is longer than {max_file:,} bytes: split it")
            yield _decode(line.removeprefix(BOM) if number == 1 else line, number)


def _lines(stream: IO[bytes] | gzip.GzipFile, max_line: int) -> Iterator[bytes]:
    number = 1
    while True:
        try:
            line = stream.readline(max_line + 1)
        except (OSError, EOFError, zlib.error) as error:
            raise UnreadableFileError(
                number, "the compressed file is damaged or cut short: pack it again"
            ) from error
        if not line:
            return
        if len(line) > max_line:
            reason = f"longer than {max_line:,} bytes: every row of a JSONL file is one line"
            raise UnreadableFileError(number, reason)
        yield line
        number += 1


def _decode(line: bytes, number: int) -> str:
    try:
        return line.decode().rstrip("\r\n")
    except UnicodeDecodeError as error:
        reason = f"not UTF-8 (0x{line[error.start]:02x}): save the file as UTF-8"
        raise UnreadableFileError(number, reason, byte=error.start + 1) from error
