"""Jobs for tests of the kinds: a folder, a spec, and a death at a chosen check."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from annotation.core.records import canonical_json
from training.core.events import EventWriter
from training.core.job import Job
from training.core.spec import RunFile, RunKind


class KilledError(Exception):
    """Stands for kill -9: nothing that catches run errors catches it."""


class MortalJob(Job):
    """A job whose process dies at its `dies_at`-th check (1-based); never where that is None."""

    def __init__(self, file: RunFile, out: Path, events: EventWriter, dies_at: int | None) -> None:
        super().__init__(file, out, events)
        self.dies_at = dies_at
        self.checks = 0

    def check(self) -> None:
        self.checks += 1
        if self.checks == self.dies_at:
            raise KilledError
        super().check()


def make_job(
    out: Path, kind: RunKind, params: dict[str, Any], inputs: dict[str, Any], dies_at: int | None = None
) -> MortalJob:
    out.mkdir(parents=True, exist_ok=True)
    file = RunFile(kind=kind, seed=5, device="cpu", code_version="1", params=params, inputs=inputs)
    return MortalJob(file, out, EventWriter(out / "events.jsonl"), dies_at)


def write_lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(canonical_json(row) + "\n" for row in rows))
    return path


def files_of(directory: Path) -> dict[str, bytes]:
    """Every file below `directory` by its relative name."""
    return {
        path.relative_to(directory).as_posix(): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


def moments_to_die(checks: int) -> list[int]:
    """Five of a run's checks: the first, the last, and three between."""
    return sorted({1 + (checks - 1) * quarter // 4 for quarter in range(5)})
