"""Further formats of a snapshot that is ready: its native lines read once more, a format at a time.

A format's files lie in `formats/<name>/` of the snapshot's folder. Their rows appear together once all are there, and
are never changed. A failure takes the format off the list of what is wanted and is told by the row.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Final
from uuid import uuid4

import structlog
from django.db import IntegrityError, transaction
from django.utils import timezone

from annotation.core.exports import judgments
from annotation.core.exports.base import ExportFormat, Passage, line_of
from annotation.core.exports.registry import EXPORTS, NAMES
from annotation.core.recipe import Recipe
from annotation.core.records import PreferenceRecord
from annotation.core.states import SnapshotState
from annotation.errors import InvalidRecipeError
from annotation.models import Snapshot, SnapshotFile
from annotation.services.snapshot_judgments import judgment_lines
from annotation.services.snapshot_writing import BROKEN, ClaimLostError, Hold, file_row
from annotation.services.store import store
from annotation.snapshots import SPLITS, missing_formats, native_lines

if TYPE_CHECKING:
    from annotation.services.snapshot_files import LinesFile, Written

log = structlog.get_logger(__name__)

NATIVE: Final = "native"  # is always there
FORMATS: Final = tuple(name for name in NAMES if name != NATIVE)
EVERY: Final = 1_000  # rows between two signs of life


def check_formats(names: Collection[str]) -> list[str]:
    """The formats to write, sorted; "native" is written anyway.

    Raises:
        InvalidRecipeError: one that nobody knows.
    """
    if unknown := sorted(set(names) - set(NAMES)):
        reason = f"No such format: {', '.join(unknown)}. There are {', '.join(NAMES)}."
        raise InvalidRecipeError(
            f"Nothing was written. {reason}", errors=[{"field": "formats", "reason": reason}]
        )
    return sorted(set(names) - {NATIVE})


def write_formats(*, snapshot: Snapshot) -> None:
    """Write what was asked for and is not there, unless another process does."""
    while (name := next(iter(missing_formats(snapshot)), None)) is not None:
        hold = _claim(snapshot.pk)
        if hold is None:
            return
        try:
            _write(hold, snapshot, name)
        except ClaimLostError:
            log.warning("format was taken over", snapshot=snapshot.pk, format=name)
            return
        except Exception:
            log.exception("format broke", snapshot=snapshot.pk, format=name)
            _give_up(hold, name)
        snapshot = Snapshot.objects.prefetch_related("files").get(pk=snapshot.pk)


def _claim(pk: int) -> Hold | None:
    claim = uuid4()
    free = Snapshot.objects.filter(pk=pk, state=SnapshotState.READY, claim=None)
    return Hold(pk, claim, SnapshotState.READY) if free.update(claim=claim, beat_at=timezone.now()) else None


def _write(hold: Hold, snapshot: Snapshot, name: str) -> None:
    place = store()
    draft = place.draft(hold.draft)
    try:
        files = _write_files(draft, snapshot, name, hold)
        for file in files:
            place.add(draft / file.path, f"{snapshot.path}/{file.path}", hold.alive)
        with transaction.atomic():
            hold.set(claim=None)
            SnapshotFile.objects.bulk_create(file_row(snapshot.pk, file) for file in files)
    except IntegrityError:
        # Whoever had the claim before was slow, not dead, and has just registered the same bytes.
        Snapshot.objects.filter(pk=hold.pk, claim=hold.claim).update(claim=None)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _give_up(hold: Hold, name: str) -> None:
    with transaction.atomic():
        row = Snapshot.objects.select_for_update().get(pk=hold.pk)
        kept = [one for one in row.formats if one != name]
        held = Snapshot.objects.filter(pk=hold.pk, claim=hold.claim)
        held.update(formats=kept, claim=None, error=f"The format {name} could not be written. {BROKEN}")


def _write_files(draft: Path, snapshot: Snapshot, name: str, hold: Hold) -> list[Written]:
    from annotation.services.snapshot_files import LinesFile, write_text  # noqa: PLC0415  pyarrow: not in web processes

    form: ExportFormat[PreferenceRecord] | None = EXPORTS.get(name)
    known = form or judgments.FORMAT
    folder, files = f"formats/{name}", []
    with ThreadPoolExecutor(1, thread_name_prefix="format") as threads:
        targets = {
            split: LinesFile(draft, f"{folder}/{split}{known.suffix}", name, split, known.media_type, threads)
            for split in SPLITS
        }
        left_out = _fill(targets, snapshot, form, hold, draft)
        files = [target.finish() for target in targets.values()]
    for beside, text in known.beside(SPLITS).items():
        files.append(write_text(draft, f"{folder}/{beside}", text, "application/json", name))
    about = {"format": name, "version": known.version, "snapshot": snapshot.sha256, "left_out": left_out}
    about["files"] = {
        file.path.removeprefix(f"{folder}/"): {"sha256": file.sha256, "rows": file.rows} for file in files
    }
    text = json.dumps(about, indent=2, sort_keys=True) + "\n"
    return [*files, write_text(draft, f"{folder}/manifest.json", text, "application/json", name)]


def _fill(
    targets: dict[str, LinesFile],
    snapshot: Snapshot,
    form: ExportFormat[PreferenceRecord] | None,
    hold: Hold,
    draft: Path,
) -> dict[str, int]:
    """Write all rows; how many records were left out, by reason."""
    passages: dict[str, Passage[PreferenceRecord]] = {}
    if form is None:
        lines = _of_judgments(snapshot, draft / "sorting")
    else:
        passages = {split: Passage(form) for split in SPLITS}
        lines = _of_records(snapshot, passages)
    for number, (split, line) in enumerate(lines):
        targets[split].add(line)
        if number % EVERY == 0:
            hold.alive()
    left_out = Counter[str]()
    for passage in passages.values():
        left_out.update(passage.left_out)
    return dict(left_out)


def _of_judgments(snapshot: Snapshot, folder: Path) -> Iterator[tuple[str, bytes]]:
    recipe = Recipe.model_validate(snapshot.recipe or {})
    return judgment_lines(recipe, list(snapshot.batches.all()), folder)


def _of_records(
    snapshot: Snapshot, passages: dict[str, Passage[PreferenceRecord]]
) -> Iterator[tuple[str, bytes]]:
    for split, passage in passages.items():
        for raw in native_lines(snapshot, split):
            for row in passage.rows(PreferenceRecord.from_line(raw.decode())):
                yield split, line_of(row).encode()
