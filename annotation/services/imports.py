"""A file of somebody else's judgments comes into a batch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from django.db import transaction

from annotation.core.formats.base import BadRow, ImportedJudgment, Tie, TiePolicy
from annotation.core.formats.lines import UnreadableFileError, open_lines
from annotation.core.formats.registry import FORMATS, read
from annotation.errors import DomainError, InvalidImportError, NotFoundError
from annotation.models import Batch, BatchEvent
from annotation.queries import batch_named, open_batch
from annotation.services import batches
from annotation.services.ingest import ImportReport, ingest_judgments


class DryRunError(DomainError):
    """Raised to roll a rehearsal back; carries the report."""

    def __init__(self, report: ImportReport) -> None:
        super().__init__("Nothing was stored: this was a rehearsal.")
        self.report = report


def import_file(
    *,
    path: Path,
    form: str,
    ties: TiePolicy = "skip",
    skip_invalid: bool = False,
    batch_name: str = "",
    dry_run: bool = False,
) -> tuple[Batch, ImportReport]:
    """All of the file in one transaction, or nothing.

    Without a batch name the judgments go into the week that is open, and into a new one where none is.

    Raises:
        InvalidImportError: bad rows (all of them listed), or a file that cannot be read to its end.
        NotFoundError: no batch has that name, or there is no such file.
        DryRunError: `dry_run` was asked for; carries the report.
    """
    if not path.is_file():
        raise NotFoundError(f"There is no file {path}.")
    with transaction.atomic():
        batch = _batch(batch_name)
        items = _items(path, form, ties)
        report = ingest_judgments(batch=batch, items=items, origin=form, skip_invalid=skip_invalid)
        if dry_run:
            raise DryRunError(report)
        if report.judgments or report.comparisons:
            _record(batch, path, form, ties, report)
        return batch, report


def _batch(name: str) -> Batch:
    if name:
        if (batch := batch_named(name)) is None:
            raise NotFoundError(f"There is no batch named {name!r}.")
        return batch
    return open_batch() or batches.open_batch(batch=batches.create_batch())


def _record(batch: Batch, path: Path, form: str, ties: TiePolicy, report: ImportReport) -> None:
    """The batch's history says under which version of the mapping the file was read."""
    detail = {
        "imported": path.name,
        "format": form,
        "mapping_version": FORMATS[form].version,
        "ties": ties,
        "judgments": report.judgments,
        "ties_met": report.ties,
        "bad_rows": len(report.bad_rows),
    }
    BatchEvent.objects.create(batch=batch, state=batch.state, detail=detail)


def _items(path: Path, form: str, ties: TiePolicy) -> Iterator[ImportedJudgment | Tie | BadRow]:
    try:
        yield from read(open_lines(path), form=form, ties=ties)
    except UnreadableFileError as error:
        raise InvalidImportError(
            f"{path.name} cannot be read to its end, so nothing was imported: {error}",
            errors=[{"line": error.line, "reason": error.reason}],
        ) from error
