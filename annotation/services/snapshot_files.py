"""The two files of a split: JSON lines and Parquet with the same rows. Threads beside the first write them.

They hash, parse and compress outside of Python's lock, while the first waits for the database or makes lines. Equal
lines give equal bytes: row groups end where the lines say, and nothing of the clock goes in.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import pyarrow as pa
from pyarrow import json as arrow_json
from pyarrow import parquet

GROUP_ROWS: Final = 4_000
GROUP_BYTES: Final = 4 * 2**20  # of lines; a group is what a writer and each reader hold in memory
AHEAD: Final = 2  # writes that may wait; each group is two, lines and table

JSON_LINES: Final = "application/x-ndjson"
PARQUET: Final = "application/vnd.apache.parquet"
TEXT: Final = pa.string()
SCHEMA: Final = pa.schema(
    [
        pa.field("batch", TEXT),
        pa.field("chosen", TEXT),
        pa.field("chosen_policy", TEXT),
        pa.field("dialogue", TEXT),
        pa.field("focus", TEXT),
        pa.field("grade", TEXT),
        pa.field("id", TEXT),
        pa.field("judgments", pa.int64()),
        pa.field("margin", pa.float64()),
        pa.field("messages", pa.list_(pa.struct([pa.field("content", TEXT), pa.field("role", TEXT)]))),
        pa.field("prompt", TEXT),
        pa.field("rejected", TEXT),
        pa.field("rejected_policy", TEXT),
        pa.field("safety", TEXT),
        pa.field("split", TEXT),
        pa.field("weight", pa.float64()),
    ]
)
# Columns of few words are stored as numbers into a list; texts are not worth the try, nor is their alphabet.
WORDS: Final = [
    "batch",
    "chosen_policy",
    "focus",
    "grade",
    "judgments",
    "margin",
    "rejected_policy",
    "safety",
    "split",
    "weight",
]


@dataclass(frozen=True, slots=True)
class Written:
    """A file that is whole and on disk; `path` is below the snapshot's folder."""

    path: str
    format: str
    split: str
    media_type: str
    bytes: int
    rows: int | None
    sha256: str


class HashedFile(io.RawIOBase):
    """A new file that is hashed as it is written, so that nobody has to read it again."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("wb")
        self._hash = hashlib.sha256()
        self.size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        self._hash.update(data)
        self._file.write(data)
        size = len(memoryview(data).cast("B"))
        self.size += size
        return size

    def tell(self) -> int:
        return self.size

    def finish(self) -> str:
        """Onto the disk; the SHA-256 of it."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        return self._hash.hexdigest()

    def close(self) -> None:
        self._file.close()
        super().close()


class LinesFile:
    """A file of JSON lines, written by another thread a group of lines at a time."""

    def __init__(
        self, folder: Path, path: str, form: str, split: str, media_type: str, threads: ThreadPoolExecutor
    ) -> None:
        self.rows = 0
        self._about = (path, form, split, media_type)
        self._threads = threads
        self._waiting: deque[Future[Any]] = deque()
        self._lines: list[bytes] = []
        self._size = 0
        self._file = HashedFile(folder / path)

    def add(self, line: bytes) -> None:
        self._lines.append(line)
        self._size += len(line)
        if len(self._lines) >= GROUP_ROWS or self._size >= GROUP_BYTES:
            self._send()

    def finish(self) -> Written:
        """All lines on disk."""
        if self._lines:
            self._send()
        while self._waiting:
            self._waiting.popleft().result()
        path, form, split, media_type = self._about
        sha256 = self._file.finish()
        return Written(path, form, split, media_type, self._file.size, self.rows, sha256)

    def close(self) -> None:
        """Let go of the file, whatever state it is in."""
        self._file.close()

    def _send(self) -> None:
        while len(self._waiting) >= AHEAD:
            self._waiting.popleft().result()
        self.rows += len(self._lines)
        self._write(b"".join(self._lines), len(self._lines))
        self._lines, self._size = [], 0

    def _write(self, data: bytes, rows: int) -> None:
        self._waiting.append(self._threads.submit(self._file.write, data))


class SplitFiles(LinesFile):
    """The native lines of one split, and the same rows as Parquet."""

    def __init__(
        self, folder: Path, split: str, threads: ThreadPoolExecutor, parsing: ThreadPoolExecutor
    ) -> None:
        super().__init__(folder, f"data/{split}.jsonl", "native", split, JSON_LINES, threads)
        self._parsing = parsing
        self._table_path = f"data/{split}-00000-of-00001.parquet"
        self._table = HashedFile(folder / self._table_path)
        self._parquet = parquet.ParquetWriter(
            pa.PythonFile(self._table, mode="w"),
            SCHEMA,
            compression="zstd",
            use_dictionary=WORDS,
            write_statistics=[*WORDS, "id"],
        )

    def finish_both(self) -> list[Written]:
        lines = self.finish()
        self._parquet.close()
        sha256 = self._table.finish()
        table = Written(
            self._table_path, "parquet", lines.split, PARQUET, self._table.size, lines.rows, sha256
        )
        return [lines, table]

    def close(self) -> None:
        # It writes its last words, whatever came before, and would do so later into a file that is closed.
        with suppress(OSError, ValueError, pa.ArrowException):
            self._parquet.close()
        super().close()
        self._table.close()

    def _write(self, data: bytes, rows: int) -> None:
        super()._write(data, rows)
        table = self._parsing.submit(_table_of, data)
        self._waiting.append(self._threads.submit(self._write_table, table, rows))

    def _write_table(self, table: Future[pa.Table], rows: int) -> None:
        self._parquet.write_table(table.result(), row_group_size=rows)


def _table_of(data: bytes) -> pa.Table:
    # One block, in one thread: where it is cut would change the pages of the file.
    reading = arrow_json.ReadOptions(use_threads=False, block_size=len(data) + 1)
    parsing = arrow_json.ParseOptions(explicit_schema=SCHEMA, unexpected_field_behavior="error")
    table = arrow_json.read_json(pa.BufferReader(data), read_options=reading, parse_options=parsing)
    return table.select(SCHEMA.names)


class DataFiles:
    """Both splits of a snapshot."""

    def __init__(self, folder: Path) -> None:
        # One thread each: what is handed to it is written in that order.
        self._threads = [
            ThreadPoolExecutor(1, thread_name_prefix=f"snapshot {kind}") for kind in ("writer", "parser")
        ]
        self.of = {split: SplitFiles(folder, split, *self._threads) for split in ("train", "test")}

    @property
    def rows(self) -> int:
        return sum(files.rows for files in self.of.values())

    def finish(self) -> list[Written]:
        return [written for files in self.of.values() for written in files.finish_both()]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for thread in self._threads:
            thread.shutdown(wait=True, cancel_futures=True)
        for files in self.of.values():
            files.close()


def write_text(folder: Path, path: str, text: str, media_type: str, form: str = "") -> Written:
    """A small file, on disk."""
    file = HashedFile(folder / path)
    file.write(text.encode())
    return Written(path, form, "", media_type, file.size, None, file.finish())
