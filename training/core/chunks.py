"""Long work over many items, cut into chunks that each become one file: what is written survives a kill.

Knows JSON lines and a plan fixed by the input alone. Must not know what an item is, nor import torch.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from annotation.core.records import canonical_json
from rewardmodel.core.files import write_atomically
from rewardmodel.core.report import Reporter, RunFailedError

Row = dict[str, Any]
Plan = Sequence[Sequence[int]]


def run_chunks(
    directory: Path,
    plan: Plan,
    compute: Callable[[Sequence[int]], Iterable[Row]],
    reporter: Reporter,
    unit: str,
) -> list[Row]:
    """Rows of all items in the order of the items, computing only the chunks that have no file yet.

    `plan` names every item 0 ... n-1 exactly once; `compute` returns one row for each index it is given. All
    rows are read back from the files, so that a resumed run and an uninterrupted one see the same.
    """
    directory.mkdir(parents=True, exist_ok=True)
    total = sum(len(indices) for indices in plan)
    rows: dict[int, Row] = {}
    for number, indices in enumerate(plan):
        path = directory / f"{number:06d}.jsonl"
        if not path.exists():
            write_atomically(path, to_lines(compute(indices)))
            reporter.check()
        rows.update(zip(indices, read_lines(path), strict=True))
        reporter.progress(len(rows), total, unit)
    return [rows[index] for index in range(total)]


def to_lines(rows: Iterable[Row]) -> str:
    """One canonical JSON object a line."""
    return "".join(canonical_json(row) + "\n" for row in rows)


def read_lines(path: Path) -> list[Row]:
    """The objects of a JSON lines file.

    Raises:
        RunFailedError: if the file is absent or a line is not a JSON object; the message names file and line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise RunFailedError(f"cannot read {path.name}: {error.strerror}") from error
    # Not splitlines(): JSON leaves U+2028 and its kin unescaped within a string.
    return [_row(path, number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]


class LineFile:
    """A JSON lines file whose rows are read by number: only those at work are in memory.

    Raises:
        RunFailedError: as for `read_lines`, once the row in question is read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._starts = array("Q")  # where each line begins, in bytes
        at = 0
        try:
            with path.open("rb") as file:
                for line in file:
                    if line.strip():
                        self._starts.append(at)
                    at += len(line)
        except OSError as error:
            raise RunFailedError(f"cannot read {path.name}: {error.strerror}") from error

    def __len__(self) -> int:
        return len(self._starts)

    def read(self, indices: Iterable[int]) -> list[Row]:
        rows = []
        with self._path.open("rb") as file:
            for index in indices:
                file.seek(self._starts[index])
                rows.append(_row(self._path, index + 1, file.readline().decode()))
        return rows


def _row(path: Path, number: int, line: str) -> Row:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise RunFailedError(f"{path.name}, line {number}: not JSON") from error
    if not isinstance(row, dict):
        raise RunFailedError(f"{path.name}, line {number}: not a JSON object")
    return row
