"""The rows of a file that somebody brought: lines, or elements of a JSON array; plain or gzip, UTF-8, each of bounded
length.

Knows bytes, compression, limits and where a row ends. Must not know what a row says.
"""

from __future__ import annotations

import gzip
import json
import zlib
from codecs import getincrementaldecoder
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Final, NoReturn

MAX_LINE: Final = 4 * 1024**2
MAX_FILE: Final = 4 * 1024**3
MAX_ROWS: Final = (
    10_000_000  # lines, the blank ones too: a small packed file may unpack to nothing but line ends
)
GZIP_MAGIC: Final = b"\x1f\x8b"
ZIP_MAGIC: Final = b"PK\x03\x04"
BOM: Final = b"\xef\xbb\xbf"
PIECE: Final = 256 * 1024  # bytes read at once of an array
BLANK: Final = " \t\r\n"


class UnreadableFileError(Exception):
    """A file that cannot be read on from some line; `byte` counts from 1 within it, where one is at fault."""

    def __init__(self, line: int, reason: str, byte: int | None = None) -> None:
        where = f"line {line}" if byte is None else f"line {line}, byte {byte}"
        super().__init__(f"{where}: {reason}")
        self.line = line
        self.byte = byte
        self.reason = reason


def open_rows(
    source: Path | IO[bytes], *, max_line: int = MAX_LINE, max_file: int = MAX_FILE
) -> Iterator[str]:
    """The JSON texts of a file, in constant memory: its lines, or the elements of the array that it is.

    Raises:
        UnreadableFileError: as `open_lines`; a zip archive; an array that breaks off or holds no JSON. In an array its
            line is the number of the element.
    """
    with _opened(source) as stream:
        head = _head(stream)
        if head.startswith(ZIP_MAGIC):
            raise UnreadableFileError(1, "a zip archive: unpack it, or pack the file with gzip")
        is_array = head.removeprefix(BOM).lstrip().startswith(b"[")
    if is_array:
        return _elements(source, max_line, max_file)
    return open_lines(source, max_line=max_line, max_file=max_file)


def open_lines(
    source: Path | IO[bytes], *, max_line: int = MAX_LINE, max_file: int = MAX_FILE
) -> Iterator[str]:
    """Lines without their ends, in constant memory. Gzip is known by its first bytes, not by a suffix.

    A path is opened and closed here; a stream must be able to seek and is left open. The limits are in bytes
    after decompression, so that a small file that unpacks to an endless one is refused.

    Raises:
        UnreadableFileError: broken compression, bytes that are not UTF-8, a line or a file beyond its limit.
    """
    with _opened(source) as stream:
        total = 0
        for number, line in enumerate(_lines(stream, max_line), start=1):
            total += len(line)
            _check_size(number, total, max_file)
            yield _decode(line.removeprefix(BOM) if number == 1 else line, number)


def _check_size(number: int, total: int, max_file: int) -> None:
    if total > max_file:
        raise UnreadableFileError(number, f"the file is longer than {max_file:,} bytes: split it")
    if number > MAX_ROWS:
        raise UnreadableFileError(number, f"the file has more than {MAX_ROWS:,} lines: split it")


@contextmanager
def _opened(source: Path | IO[bytes]) -> Iterator[IO[bytes] | gzip.GzipFile]:
    with ExitStack() as stack:
        raw = stack.enter_context(source.open("rb")) if isinstance(source, Path) else source
        raw.seek(0)
        packed = raw.read(len(GZIP_MAGIC)) == GZIP_MAGIC
        raw.seek(0)
        yield stack.enter_context(gzip.GzipFile(fileobj=raw)) if packed else raw


def _head(stream: IO[bytes] | gzip.GzipFile) -> bytes:
    """The first bytes; none where they cannot be unpacked, which is said when they are read."""
    try:
        return stream.read(1024)
    except (OSError, EOFError, zlib.error):
        return b""


def _elements(source: Path | IO[bytes], max_line: int, max_file: int) -> Iterator[str]:
    with _opened(source) as stream:
        yield from _Array(stream, max_line, max_file).elements()


class _Array:
    """The elements of one JSON array as texts, one after the other; no more than one is held."""

    def __init__(self, stream: IO[bytes] | gzip.GzipFile, longest: int, max_file: int) -> None:
        self._stream = stream
        self._longest = longest
        self._max_file = max_file
        self._decoder = getincrementaldecoder("utf-8-sig")()
        self._text = ""
        self._at = 0
        self._number = 1
        self._total = 0
        self._ended = False

    def elements(self) -> Iterator[str]:
        self._skip()
        self._at += 1  # the bracket that open_rows saw
        if self._peek() == "]":
            return
        while True:
            end = self._end()
            yield self._text[self._at : end]
            self._at = end
            _check_size(self._number, self._total, self._max_file)
            mark = self._peek()
            self._at += 1
            if mark == "]":
                if self._peek():
                    self._refuse("something follows the array's closing bracket: a file is one array")
                return
            if mark != ",":
                self._refuse("no comma or closing bracket after an element of the array")
            self._number += 1

    def _end(self) -> int:
        """Where the element that begins here ends. What follows it must be in sight: a number could go on."""
        self._skip()
        piece = PIECE
        while True:
            try:
                _, end = json.JSONDecoder().raw_decode(self._text, self._at)
            except RecursionError:
                self._refuse("a nesting beyond all measure")
            except ValueError as error:
                if self._ended:
                    self._refuse(f"the array breaks off or holds no JSON: {error}")
                end = 0
            complete = end and (end < len(self._text) or self._ended)
            if (end if complete else len(self._text)) - self._at > self._longest:
                self._refuse(f"longer than {self._longest:,} characters, or no JSON")
            if complete:
                return end
            self._more(piece)
            piece *= 2

    def _peek(self) -> str:
        """The next character that is not blank; empty at the end."""
        self._skip()
        return self._text[self._at : self._at + 1]

    def _skip(self) -> None:
        while True:
            while self._at < len(self._text) and self._text[self._at] in BLANK:
                self._at += 1
            if self._at < len(self._text) or self._ended:
                return
            self._more(PIECE)

    def _more(self, size: int) -> None:
        try:
            data = self._stream.read(size)
            text = self._decoder.decode(data, final=not data)
        except (OSError, EOFError, zlib.error):
            self._refuse("the compressed file is damaged or cut short: pack it again")
        except UnicodeDecodeError as error:
            self._refuse(f"not UTF-8 (0x{error.object[error.start]:02x}): save the file as UTF-8")
        self._ended = not data
        self._total += len(data)
        _check_size(self._number, self._total, self._max_file)
        self._text, self._at = self._text[self._at :] + text, 0

    def _refuse(self, reason: str) -> NoReturn:
        raise UnreadableFileError(self._number, reason)


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
