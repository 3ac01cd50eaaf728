"""Questions about snapshots: how far one is, what lies in it, and how two differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, Final

import orjson
from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from annotation.core.recipe import Recipe
from annotation.core.states import SnapshotState
from annotation.errors import ConflictError, NotFoundError, WithdrawnError
from annotation.models import Comparison, Judgment, Snapshot, SnapshotFile
from annotation.services.snapshot_rows import chosen, left_out
from annotation.services.store import checked, store

SPLITS: Final = ("train", "test")
SHOWN: Final = 100  # changes of a kind that are named


def withdrawn_words(snapshot: Snapshot) -> str:
    """Why a withdrawn version is not given out, and what takes its place."""
    new = Snapshot.objects.filter(parent=snapshot).first()
    if new is None:
        return f"{snapshot} was withdrawn. Its files are not given out any more."
    return (
        f"{snapshot} was withdrawn: {new.reason} Use version {new.version} in its place, snapshot {new.pk}."
    )


def _check_given_out(snapshot: Snapshot) -> None:
    if snapshot.state == SnapshotState.WITHDRAWN:
        raise WithdrawnError(withdrawn_words(snapshot))
    if snapshot.state != SnapshotState.READY:
        raise ConflictError(f"{snapshot} is {snapshot.state}: its files are there once it is ready.")


def file_of(snapshot: Snapshot, path: str) -> SnapshotFile:
    """One file of a snapshot that may be given out.

    Raises:
        WithdrawnError: it was withdrawn.
        ConflictError: it is not written yet.
        NotFoundError: it holds no such file.
    """
    _check_given_out(snapshot)
    found = SnapshotFile.objects.filter(snapshot=snapshot, path=checked(path)).first()
    if found is None:
        raise NotFoundError("This snapshot holds no such file.")
    return found


def local_folder(snapshot: Snapshot) -> Path:
    """Its folder on this machine's disk, fetched where it lies elsewhere.

    Raises:
        WithdrawnError, ConflictError: as for a file.
        NotFoundError: it is gone.
    """
    _check_given_out(snapshot)
    return store().folder(snapshot.path)


def open_file(snapshot: Snapshot, file: SnapshotFile) -> BinaryIO:
    """To read, from anywhere in it. Raises NotFoundError where it is gone."""
    return store().open(f"{snapshot.path}/{file.path}")


def forgotten() -> list[int]:
    """Snapshots for which there is something to do, and of which nobody says that they do it."""
    long_ago = timezone.now() - timedelta(seconds=settings.SNAPSHOT_SWEEP)
    waiting = Snapshot.objects.filter(state=SnapshotState.WAITING, created_at__lt=long_ago)
    found = list(waiting.values_list("pk", flat=True))
    ready = Snapshot.objects.filter(state=SnapshotState.READY, claim=None).exclude(formats=[])
    return found + [row.pk for row in ready.prefetch_related("files") if missing_formats(row)]


def missing_formats(snapshot: Snapshot) -> list[str]:
    """Formats that were asked for and are not there."""
    there = {file.format for file in snapshot.files.all()}
    return [name for name in snapshot.formats if name not in there]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the writing is. `percent` is None where nothing is known, `slow` where nobody has begun for a while."""

    rows: int
    expected: int
    percent: int | None
    slow: bool


def progress_of(snapshot: Snapshot) -> Progress | None:
    """None: it is written, or failed."""
    if snapshot.state not in (SnapshotState.WAITING, SnapshotState.WRITING):
        return None
    recipe = Recipe.model_validate(snapshot.recipe)
    expected = sum(chosen(batch, recipe).count() for batch in snapshot.batches.all())
    percent = min(99, 100 * snapshot.rows // expected) if expected else None
    waits = timezone.now() - snapshot.created_at > timedelta(seconds=3 * settings.SNAPSHOT_SWEEP)
    return Progress(snapshot.rows, expected, percent, snapshot.state == SnapshotState.WAITING and waits)


def files_of(snapshot: Snapshot) -> list[SnapshotFile] | None:
    """Its files, card and manifest first; None: they are gone."""
    if snapshot.state in (SnapshotState.WAITING, SnapshotState.WRITING, SnapshotState.FAILED):
        return []
    if not store().has(snapshot.path):
        return None
    return sorted(snapshot.files.all(), key=lambda file: (file.format, file.path))


def others_than(snapshot: Snapshot) -> list[Snapshot]:
    """Snapshots that it can be compared with, the one it replaces first, then the newest."""
    written = Snapshot.objects.filter(state__in=(SnapshotState.READY, SnapshotState.WITHDRAWN))
    return sorted(written.exclude(pk=snapshot.pk)[:200], key=lambda one: one.pk != snapshot.parent_id)


def rows_touched(
    snapshot: Snapshot, *, annotators: Collection[str], prompts: Collection[str]
) -> dict[str, int]:
    """Judgments that would go if these people's and these prompts' were withdrawn, and the pairs they are on."""
    recipe = Recipe.model_validate(snapshot.recipe or {})
    pairs = Comparison.objects.none()
    for batch in snapshot.batches.all():
        pairs |= chosen(batch, recipe)
    going = (
        Judgment.objects.effective().filter(comparison__in=pairs).exclude(annotator_id__in=left_out(recipe))
    )
    going = going.filter(
        Q(annotator__pseudonym__in=annotators) | Q(comparison__dialogue__prompt__key__in=prompts)
    )
    return {"judgments": going.count(), "pairs": going.values("comparison").distinct().count()}


@dataclass(frozen=True, slots=True)
class Change:
    """`kind` is added, changed or dropped; `fields` are those that differ, where it changed."""

    kind: str
    id: str
    split: str
    fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Changes:
    """How many rows differ, and the first of each kind by id."""

    added: int
    changed: int
    dropped: int
    first: dict[str, list[Change]]


@dataclass(frozen=True, slots=True)
class _Line:
    place: tuple[Any, ...]
    row: dict[str, Any]
    raw: bytes


def summary_of(changes: Iterable[Change]) -> Changes:
    counts = Counter[str]()
    first: dict[str, list[Change]] = {"added": [], "changed": [], "dropped": []}
    for change in changes:
        counts[change.kind] += 1
        if len(first[change.kind]) < SHOWN:
            first[change.kind].append(change)
    return Changes(counts["added"], counts["changed"], counts["dropped"], first)


def changes_between(older: Snapshot, newer: Snapshot) -> Iterator[Change]:
    """How the rows of two snapshots differ, in their order. Both are read once, side by side, a line at a time.

    Raises:
        ConflictError: one is not written.
        NotFoundError: files of one are gone.
    """
    for snapshot in (older, newer):
        if not snapshot.path or snapshot.state not in (SnapshotState.READY, SnapshotState.WITHDRAWN):
            raise ConflictError(f"{snapshot} is {snapshot.state}: there is nothing to compare.")
    numbers = {batch.name: batch.number for batch in chain(older.batches.all(), newer.batches.all())}
    for split in SPLITS:
        yield from _merged(native_lines(older, split), native_lines(newer, split), numbers, split)


def _merged(
    old: Iterator[bytes], new: Iterator[bytes], numbers: dict[str, int], split: str
) -> Iterator[Change]:
    one, other = next(old, None), next(new, None)
    while one is not None or other is not None:
        if one == other:  # most rows, and they need not be read
            one, other = next(old, None), next(new, None)
            continue
        was, now = _read(one, numbers), _read(other, numbers)
        if now is None or (was is not None and was.place < now.place):
            assert was is not None  # noqa: S101  one of both is there
            yield Change("dropped", was.row["id"], split)
            one = next(old, None)
        elif was is None or now.place < was.place:
            yield Change("added", now.row["id"], split)
            other = next(new, None)
        else:
            fields = tuple(name for name in sorted(now.row) if was.row.get(name) != now.row[name])
            yield Change("changed", now.row["id"], split, fields)
            one, other = next(old, None), next(new, None)


def _read(line: bytes | None, numbers: dict[str, int]) -> _Line | None:
    if line is None:
        return None
    row = orjson.loads(line)
    key, _, number = row["id"].partition(".")
    return _Line((numbers.get(row["batch"], 0), key, int(number or 0)), row, line)


def native_lines(snapshot: Snapshot, split: str) -> Iterator[bytes]:
    """The native lines of one split in order."""
    paths = set(snapshot.files.filter(format="native").values_list("path", flat=True))
    path = f"data/{split}.jsonl"
    if path in paths:
        with store().open(f"{snapshot.path}/{path}") as file:
            yield from file
    elif "data.jsonl" in paths:
        yield from _old_lines(snapshot, split)


def _old_lines(snapshot: Snapshot, split: str) -> Iterator[bytes]:
    """Of a snapshot of one file, whose rows stand by key alone: sorted by what is looked up, a place at a time."""
    numbers = {batch.name: batch.number for batch in snapshot.batches.all()}
    places: list[tuple[tuple[Any, ...], int]] = []
    with store().open(f"{snapshot.path}/data.jsonl") as file:
        offset = 0
        for raw in file:
            line = _read(raw, numbers)
            if line is not None and line.row["split"] == split:
                places.append((line.place, offset))
            offset += len(raw)
        for _, offset in sorted(places):
            file.seek(offset)
            yield file.readline()
