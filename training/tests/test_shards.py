"""Shared work: for all small plans, workers and deaths every item is computed and nothing is written twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rewardmodel.core.files import write_atomically
from rewardmodel.core.report import RunCancelledError, RunFailedError, Silent
from training.core import shards
from training.core.chunks import Row, run_chunks, to_lines
from training.core.shards import (
    Place,
    chunk_file,
    claimed,
    finished,
    plan_shares,
    read_shared,
    run_shared,
    take_turns,
)


def _row(index: int) -> Row:
    return {"item": index, "square": index * index}


def _compute(indices: Sequence[int]) -> list[Row]:
    return [_row(index) for index in indices]


class Died(Exception):  # noqa: N818  stands for kill -9
    """Nothing that catches run errors catches it."""


class World:
    """Workers that take turns as a script says, one within the computation of another, and die where it says so.

    An even number moves a worker on; an odd one kills the worker that computes, or the one whose turn it would be.
    The script at its end, all who live work on in turn; where nobody lives, worker 0 is started again.
    """

    def __init__(
        self, directory: Path, plan: Sequence[Sequence[int]], workers: int, script: list[int]
    ) -> None:
        self.directory = directory
        self.plan = plan
        self.script = iter(script)
        self.computed: Counter[int] = Counter()
        self.writing: set[int] = set()
        self.places = [Place(index, workers) for index in range(workers)]
        self.workers: dict[int, Iterator[bool]] = {}
        self.busy: set[int] = set()

    def run(self) -> list[Row]:
        for index in range(len(self.places)):
            self.workers[index] = self._start(index)
        for number in self.script:
            self._act(number)
        turns = 0
        while finished(self.directory, self.plan) < sum(map(len, self.plan)):
            turns += 1
            assert turns < 100, "those who live leave something undone"
            for index in list(self.workers) or [0]:
                self.workers.setdefault(index, self._start(index))
                self._step(index)
        return read_shared(self.directory, self.plan)

    def _start(self, index: int) -> Iterator[bool]:
        return take_turns(
            self.directory, self.plan, lambda items: self._work(index, items), self.places[index]
        )

    def _work(self, index: int, items: Sequence[int]) -> list[Row]:
        self.busy.add(index)
        assert not self.writing & set(items), "two compute one chunk at once"
        self.writing |= set(items)
        try:
            number = next(self.script, 0)
            if number % 2:
                raise Died
            self._act(number)
            self.computed.update(items)
            return _compute(items)
        finally:
            self.writing -= set(items)
            self.busy.discard(index)

    def _act(self, number: int) -> None:
        free = sorted(set(self.workers) - self.busy)
        if not free:
            return
        index = free[number // 2 % len(free)]
        if number % 2:
            del self.workers[index]
        else:
            self._step(index)

    def _step(self, index: int) -> None:
        try:
            next(self.workers[index])
        except (Died, StopIteration):
            self.workers.pop(index, None)


@st.composite
def plans(draw: st.DrawFn) -> list[list[int]]:
    items = draw(st.permutations(range(draw(st.integers(0, 7)))))
    ends = sorted(draw(st.sets(st.integers(1, len(items) - 1)))) if len(items) > 1 else []
    return [items[a:b] for a, b in zip([0, *ends], [*ends, len(items)], strict=True) if a < b]


@given(plans(), st.integers(1, 4), st.lists(st.integers(0, 11), max_size=25))
@settings(deadline=None)
def test_every_item_is_there_once_whoever_dies_and_the_rows_are_those_of_one_process(
    plan: list[list[int]], workers: int, script: list[int]
) -> None:
    with TemporaryDirectory() as folder:
        world = World(Path(folder) / "shared", plan, workers, script)
        rows = world.run()
        assert rows == run_chunks(Path(folder) / "alone", plan, _compute, Silent(), "items")
        assert set(world.computed.values()) <= {1}, "something was computed again after it was written"
        assert [row["item"] for row in rows] == list(range(sum(map(len, plan))))


@given(st.integers(0, 30), st.integers(1, 6), st.integers(0, 9))
def test_the_order_of_a_worker_names_every_chunk_once_its_own_first(
    chunks: int, count: int, index: int
) -> None:
    order = Place(index, count).order(chunks)
    assert sorted(order) == list(range(chunks))
    own = [number for number in range(chunks) if number % count == index]
    assert order[: len(own)] == own


@given(st.integers(0, 40), st.integers(1, 9))
def test_shares_are_stretches_of_like_size(items: int, count: int) -> None:
    plan = plan_shares(items, count)
    assert [index for share in plan for index in share] == list(range(items))
    sizes = [len(share) for share in plan]
    assert len(sizes) == min(items, count)
    assert not sizes or max(sizes) - min(sizes) <= 1


def test_a_lock_is_held_by_one_and_falls_with_its_block(tmp_path: Path) -> None:
    with claimed(tmp_path / "lock") as mine, claimed(tmp_path / "lock") as other:
        assert (mine, other) == (True, False)
    with claimed(tmp_path / "lock") as again:
        assert again


def test_a_chunk_that_was_finished_before_the_lock_was_had_is_not_computed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def late(path: Path) -> Iterator[bool]:
        write_atomically(chunk_file(tmp_path, 0), to_lines(_compute([0])))
        with claimed(path) as mine:
            yield mine

    def refuse(indices: Sequence[int]) -> list[Row]:
        raise AssertionError("computed again")

    monkeypatch.setattr(shards, "claimed", late)
    assert list(take_turns(tmp_path, [[0]], refuse, Place())) == [False]


def test_a_file_system_without_locks_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("fcntl.flock", refuse)
    with (
        pytest.raises(RunFailedError, match=r"cannot be locked .*Operation not supported"),
        claimed(tmp_path / "l"),
    ):
        pass


class Heard(Silent):
    """Remembers progress, and asks to stop at the given check."""

    def __init__(self, stops_at: int | None = None) -> None:
        self.told: list[tuple[int, int, str]] = []
        self.checks = 0
        self.stops_at = stops_at

    def progress(self, done: int, total: int, unit: str) -> None:
        self.told.append((done, total, unit))

    def check(self) -> None:
        self.checks += 1
        if self.checks == self.stops_at:
            raise RunCancelledError


def _shared(directory: Path, reporter: Any) -> list[Row]:
    return run_shared(directory, [[0, 2], [1]], _compute, reporter, "items", Place())


def test_the_rows_come_in_the_order_of_the_items_and_progress_ends_at_all(tmp_path: Path) -> None:
    heard = Heard()
    assert _shared(tmp_path, heard) == [_row(0), _row(1), _row(2)]
    assert heard.told[-1] == (3, 3, "items")


def test_who_waits_for_another_can_be_stopped(tmp_path: Path) -> None:
    with claimed(tmp_path / ".000001.lock"), pytest.raises(RunCancelledError):
        _shared(tmp_path, Heard(stops_at=4))
    assert chunk_file(tmp_path, 0).exists()
    assert not chunk_file(tmp_path, 1).exists()
