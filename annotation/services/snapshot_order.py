"""Lines by the keys of their pairs, more of them than memory holds.

Keys are hashes, so lines fall evenly into files by their first digits; each file fits into memory and is sorted there.
Knows keys and lines. Must not know what a line says.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

PER_FILE: Final = 4_000  # lines, about
HELD: Final = 4 * 2**20  # bytes of lines in memory before they go to their files


class Sorter:
    """Takes lines, each with a `place` of always the same length that begins with a key; gives them back by it.

    Up to PER_FILE lines never touch the disk. `folder` is made for the others and removed at the end.
    """

    def __init__(self, folder: Path, expected: int) -> None:
        self._folder = folder
        self._digits = 0
        while expected > PER_FILE * 16**self._digits:
            self._digits += 1
        self._held: dict[bytes, list[bytes]] = {}
        self._size = 0
        self._on_disk: set[bytes] = set()
        self._length = 0

    def add(self, place: bytes, line: bytes) -> None:
        self._held.setdefault(place[: self._digits], []).append(place + line)
        self._length = len(place)
        self._size += len(place) + len(line)
        if self._size > HELD and self._digits:
            self._put_away()

    def lines(self) -> Iterator[tuple[bytes, bytes]]:
        """(place, line), each once, in order. Lines end with the only line end in them."""
        length = self._length
        for first in sorted(self._on_disk | self._held.keys()):
            found = self._held.pop(first, [])
            if first in self._on_disk:
                found += self._file(first).read_bytes().splitlines(keepends=True)
                self._file(first).unlink()
            found.sort()
            for one in found:
                yield one[:length], one[length:]
        shutil.rmtree(self._folder, ignore_errors=True)

    def _put_away(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        for first, lines in self._held.items():
            with self._file(first).open("ab") as file:
                file.write(b"".join(lines))
        self._on_disk |= self._held.keys()
        self._held, self._size = {}, 0

    def _file(self, first: bytes) -> Path:
        return self._folder / first.hex()
