"""One plan of chunks computed by several processes: every chunk once, whoever dies.

Knows a folder, locks and a plan fixed by the input alone. Must not know what an item is, how the processes were
started, nor import torch.

A chunk becomes one file, as in training.core.chunks. A process that wants to compute one takes the lock beside it
(flock); the kernel lets go of it when the process ends, however it ends. A chunk belongs to worker `number mod count`,
which takes its own in order. Who has nothing left of its own takes what others have not begun, from the end, so that
the one that is slow or dead holds nobody up. What remains is waited for: either its file appears or its lock falls.
So nothing is lost and nothing is written twice, on one machine and on several that share the folder.
"""

from __future__ import annotations

import fcntl
import itertools
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rewardmodel.core.files import write_atomically
from rewardmodel.core.report import Reporter, RunFailedError
from training.core.chunks import Plan, Row, read_lines, to_lines

PATIENCE: Final = 0.05  # seconds between looks at what others compute
COUNT_SECONDS: Final = 0.5  # between counts of the finished files

Compute = Callable[[Sequence[int]], Iterable[Row]]


@dataclass(frozen=True, slots=True)
class Place:
    """This process among those that share the work; alone by default. An index from `count` upwards only helps."""

    index: int = 0
    count: int = 1

    def order(self, chunks: int) -> list[int]:
        """Every chunk once: the own ones ascending, then those of the others from the end."""
        own = range(self.index, chunks, self.count) if self.index < self.count else range(0)
        others = [number for number in reversed(range(chunks)) if number % self.count != self.index]
        return [*own, *others]


def run_shared(
    directory: Path, plan: Plan, compute: Compute, reporter: Reporter, unit: str, place: Place
) -> list[Row]:
    """Rows of all items in their order, once all chunks are there, whichever process computed them.

    As `chunks.run_chunks`: `plan` names every item 0 ... n-1 exactly once, `compute` returns one row for each index.
    `reporter.check()` is asked after each chunk and while waiting.
    """
    total = sum(len(indices) for indices in plan)
    counted = float("-inf")
    for took in take_turns(directory, plan, compute, place):
        reporter.check()
        if not took:
            time.sleep(PATIENCE)
        if time.monotonic() - counted >= COUNT_SECONDS:
            counted = time.monotonic()
            reporter.progress(finished(directory, plan), total, unit)
    reporter.progress(total, total, unit)
    return read_shared(directory, plan)


def take_turns(directory: Path, plan: Plan, compute: Compute, place: Place) -> Iterator[bool]:
    """Compute chunk after chunk until all files are there; yields after each one.

    False where all that is missing is in the hands of others.
    """
    directory.mkdir(parents=True, exist_ok=True)
    missing = place.order(len(plan))
    while missing := [number for number in missing if not chunk_file(directory, number).exists()]:
        took = False
        for number in missing:
            if _take(directory, number, plan[number], compute):
                took = True
                yield True
        if not took:
            yield False


def read_shared(directory: Path, plan: Plan) -> list[Row]:
    """The rows of a plan all of whose chunks are there, in the order of the items."""
    rows: dict[int, Row] = {}
    for number, indices in enumerate(plan):
        rows.update(zip(indices, read_lines(chunk_file(directory, number)), strict=True))
    return [rows[index] for index in range(len(rows))]


def chunk_file(directory: Path, number: int) -> Path:
    return directory / f"{number:06d}.jsonl"


def plan_shares(items: int, count: int) -> Plan:
    """At most `count` stretches of neighbours, of sizes that differ by one at most; none is empty."""
    count = min(items, count)
    ends = [items * number // count for number in range(count + 1)] if count else []
    return [range(start, end) for start, end in itertools.pairwise(ends)]


@contextmanager
def claimed(path: Path) -> Iterator[bool]:
    """Whether the lock at `path` is this process's while the block runs; False where another holds it.

    Raises:
        RunFailedError: the folder's file system knows no locks.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        yield _locked(descriptor, path)
    finally:
        os.close(descriptor)


def _locked(descriptor: int, path: Path) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise RunFailedError(
            f"{path.parent} cannot be locked ({error.strerror}). Keep runs on a file system with flock: a local disk, "
            "or NFS 4."
        ) from error
    return True


def _take(directory: Path, number: int, indices: Sequence[int], compute: Compute) -> bool:
    path = chunk_file(directory, number)
    if path.exists():
        return False
    with claimed(directory / f".{number:06d}.lock") as mine:
        # Whoever held the lock before may have finished the chunk meanwhile.
        if not mine or path.exists():
            return False
        write_atomically(path, to_lines(compute(indices)))
    return True


def finished(directory: Path, plan: Plan) -> int:
    """How many items are in chunks whose file is there."""
    return sum(len(indices) for number, indices in enumerate(plan) if chunk_file(directory, number).exists())
