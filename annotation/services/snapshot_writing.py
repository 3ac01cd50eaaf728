"""Writing snapshots: claim, write, publish, register. The row is the truth, and whoever asks for it only gives a hint.

1. A process claims a waiting row by compare-and-set, and says again and again that it lives.
2. It writes a draft on its own disk, notes where the files will lie, and publishes them there.
3. It moves the row to ready and registers the files, in one transaction. Only then is there a snapshot.

Killed at any instant it leaves a row whose claim falls silent. The sweep gives the row back, and the next process
removes what the row says was published before it begins anew.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID, uuid4

import structlog
from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from annotation.core.aggregate import AggregationRule
from annotation.core.dawid_skene import posteriors_of
from annotation.core.events import Event
from annotation.core.recipe import Recipe
from annotation.core.states import SNAPSHOT_MOVES, SnapshotState
from annotation.errors import ConflictError, DomainError
from annotation.models import Snapshot, SnapshotFile
from annotation.services.audit import record
from annotation.services.snapshot_order import Sorter
from annotation.services.snapshot_rows import Source, chosen, votes_of
from annotation.services.store import remove_drafts, store
from annotation.services.webhooks import announce

if TYPE_CHECKING:
    from annotation.services.snapshot_files import Written

log = structlog.get_logger(__name__)

BEAT: Final = 1.0  # seconds between two signs of life
ATTEMPTS: Final = 5  # after which a row whose writers fall silent is given up
BROKEN: Final = (
    "Something broke on our side. It is logged. Try it again, and tell the administrator if it breaks again."
)


class ClaimLostError(Exception):
    """Somebody else has the row, or nobody may have it any more. What was written goes."""


@dataclass(slots=True)
class Hold:
    """A row that this process has claimed."""

    pk: int
    claim: UUID
    state: SnapshotState
    _said: float = field(default_factory=time.monotonic)

    def alive(self, rows: int | None = None) -> None:
        """Say so, where it is time.

        Raises:
            ClaimLostError: stop.
        """
        if time.monotonic() - self._said >= BEAT:
            self.set(**({} if rows is None else {"rows": rows}))

    def set(self, **columns: Any) -> None:
        """Change columns of the row while it is ours."""
        self._said = time.monotonic()
        held = Snapshot.objects.filter(pk=self.pk, claim=self.claim, state=self.state)
        if not held.update(beat_at=timezone.now(), **columns):
            raise ClaimLostError

    @property
    def draft(self) -> str:
        return self.claim.hex


def write_snapshot(*, snapshot: Snapshot) -> Snapshot:
    """Write a waiting snapshot, unless another process does; the row as it then is.

    A failure is told by the row and raises nothing: whoever asked may be gone.
    """
    hold = _claim(snapshot.pk)
    if hold is not None:
        try:
            _write(hold)
        except ClaimLostError:
            log.warning("snapshot was taken over", snapshot=snapshot.pk)
        except DomainError as error:
            _fail(hold, error.message)
        except Exception:
            log.exception("snapshot broke", snapshot=snapshot.pk)
            _fail(hold, BROKEN)
        except BaseException:
            # Told to stop: another may begin at once.
            held = Snapshot.objects.filter(pk=hold.pk, claim=hold.claim, state=hold.state)
            held.update(state=SnapshotState.WAITING, claim=None, beat_at=None)
            raise
    return Snapshot.objects.get(pk=snapshot.pk)


def _claim(pk: int) -> Hold | None:
    """Take a waiting row for this process; None: there is nothing to take."""
    claim = uuid4()
    row = Snapshot.objects.filter(pk=pk, state=SnapshotState.WAITING).first()
    if row is None:
        return None
    taken = Snapshot.objects.filter(pk=pk, state=SnapshotState.WAITING, attempt=row.attempt).update(
        state=SnapshotState.WRITING,
        claim=claim,
        beat_at=timezone.now(),
        rows=0,
        error="",
        attempt=row.attempt + 1,
    )
    return Hold(pk, claim, SnapshotState.WRITING) if taken else None


def _write(hold: Hold) -> None:
    from annotation.services.snapshot_manifest import describe  # noqa: PLC0415  pyarrow: not in web processes

    snapshot = Snapshot.objects.select_related("parent").get(pk=hold.pk)
    place = store()
    if snapshot.path:
        place.remove(snapshot.path)  # of a process that died before it could say that it was done
    source = Source(Recipe.model_validate(snapshot.recipe), list(snapshot.batches.all()))
    draft, path = place.draft(hold.draft), ""
    try:
        counts, data = write_data(draft, source, hold.alive)
        sha256, files = describe(draft, snapshot, source, counts, data)
        path = f"{sha256[:24]}-{hold.claim.hex[:8]}"
        hold.set(path=path, rows=sum(file.rows or 0 for file in data if file.format == "native"))
        place.publish(draft, path, hold.alive)
        _register(hold, sha256, counts, files)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        if path:
            place.remove(path)
        raise


def write_data(
    folder: Path, source: Source, alive: Callable[[int], None]
) -> tuple[dict[str, int], Sequence[Written]]:
    """Both splits of a recipe's rows below `folder`, and how many rows there are of each kind."""
    from annotation.services.snapshot_files import DataFiles  # noqa: PLC0415  pyarrow, as above
    from annotation.services.snapshot_lines import SPLITS, Lines  # noqa: PLC0415

    recipe = source.recipe
    asked = recipe.aggregation is AggregationRule.DAWID_SKENE
    lines = Lines(recipe, posteriors_of(votes_of(recipe, source.batches)) if asked else None)
    with DataFiles(folder) as files:
        add = {letter: files.of[split].add for letter, split in SPLITS.items()}
        for batch in source.in_order():
            sorter = Sorter(folder / "sorting", chosen(batch, recipe).count())
            for page in source.pages(batch):
                for place, line in lines.of(batch.name, page):
                    sorter.add(place, line)
                alive(lines.rows)
            for place, line in sorter.lines():
                add[place[-1:]](line)
        return lines.counts(), files.finish()


def _register(hold: Hold, sha256: str, counts: dict[str, int], files: Sequence[Written]) -> None:
    """The row becomes ready with its files.

    Raises:
        ConflictError: another snapshot has this very content.
        ClaimLostError: the row is not ours any more.
    """
    try:
        with transaction.atomic():
            _move(hold, SnapshotState.READY, sha256=sha256, counts=counts, written_at=timezone.now())
            SnapshotFile.objects.bulk_create(file_row(hold.pk, file) for file in files)
            row = Snapshot.objects.select_related("by").get(pk=hold.pk)
            record("snapshot.written", row, by=row.by, sha256=sha256, rows=row.rows)
            announce(Event.SNAPSHOT_READY, told_of(row))
    except IntegrityError:
        known = Snapshot.objects.filter(sha256=sha256).first()
        if known is None:
            raise
        raise ConflictError(f"The same content is there already: snapshot {known.pk}, {known}.") from None


def file_row(pk: int, file: Written) -> SnapshotFile:
    return SnapshotFile(
        snapshot_id=pk,
        path=file.path,
        format=file.format,
        split=file.split,
        media_type=file.media_type,
        bytes=file.bytes,
        rows=file.rows,
        sha256=file.sha256,
    )


def told_of(snapshot: Snapshot) -> dict[str, object]:
    """What webhooks are told of a snapshot; of a withdrawal not why, which may name somebody."""
    return {
        "id": snapshot.pk,
        "name": snapshot.name,
        "version": snapshot.version,
        "sha256": snapshot.sha256,
        "rows": snapshot.rows,
    }


def _fail(hold: Hold, message: str) -> None:
    try:
        with transaction.atomic():
            _move(hold, SnapshotState.FAILED, error=message, path="", rows=0)
            row = Snapshot.objects.get(pk=hold.pk)
            record("snapshot.failed", row, by=None, error=message)
            announce(Event.SNAPSHOT_FAILED, {**told_of(row), "error": message})
    except ClaimLostError:
        log.warning("snapshot was taken over", snapshot=hold.pk)


def _move(hold: Hold, to: SnapshotState, **columns: Any) -> None:
    """The end of a claim. Called within a transaction."""
    if to not in SNAPSHOT_MOVES[hold.state]:
        raise ConflictError(f"A snapshot that is {hold.state} cannot become {to}.")
    held = Snapshot.objects.filter(pk=hold.pk, claim=hold.claim, state=hold.state)
    if not held.update(state=to, claim=None, beat_at=None, **columns):
        raise ClaimLostError


def release_silent() -> int:
    """Rows whose writers fell silent go back to waiting, or are given up after ATTEMPTS; how many."""
    limit = timezone.now() - timedelta(seconds=settings.SNAPSHOT_SILENCE)
    released = 0
    for row in Snapshot.objects.filter(state=SnapshotState.WRITING, beat_at__lt=limit):
        # A sign of life since the row was read keeps it.
        held = Snapshot.objects.filter(
            pk=row.pk, claim=row.claim, beat_at=row.beat_at, state=SnapshotState.WRITING
        )
        if row.attempt < ATTEMPTS:
            released += held.update(state=SnapshotState.WAITING, claim=None, beat_at=None)
        elif row.claim is not None:
            message = (
                f"Its writing stopped without a word {row.attempt} times. The log of the worker says more."
            )
            _fail(Hold(row.pk, row.claim, SnapshotState.WRITING), message)
            released += 1
    # Where a further format was being written (annotation.services.snapshot_formats).
    silent = Snapshot.objects.filter(state=SnapshotState.READY, claim__isnull=False, beat_at__lt=limit)
    released += silent.update(claim=None, beat_at=None)
    living = Snapshot.objects.filter(claim__isnull=False).values_list("claim", flat=True)
    remove_drafts(older_than=settings.SNAPSHOT_SILENCE, keep=frozenset(c.hex for c in living if c))
    return released
