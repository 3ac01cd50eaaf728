"""A file of somebody else's judgments comes into a batch, or one of prompts into the pool."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final, TypeVar

from django.db import transaction

from annotation.core.formats.base import BadRow, Item, TiePolicy
from annotation.core.formats.detection import first_rows, guess_format, guess_mapping, seen_in
from annotation.core.formats.fields import Row
from annotation.core.formats.guessing import Seen
from annotation.core.formats.lines import MAX_FILE, UnreadableFileError
from annotation.core.formats.mappings import FocusMapping
from annotation.core.formats.prompt_sets import PROMPT_SETS, read_prompt_set
from annotation.core.formats.prompts import ImportedPrompt
from annotation.core.formats.registry import FORMATS, read
from annotation.errors import DomainError, InvalidImportError, NotFoundError
from annotation.models import Batch, BatchEvent, User
from annotation.queries import batch_named, open_batch
from annotation.services import batches
from annotation.services.audit import record
from annotation.services.ingest import ImportReport, ingest_judgments, refusal
from annotation.services.prompts import PromptRehearsalError, PromptReport, import_prompts
from annotation.services.rows import rows_of

NEW: Final = "new"  # in the place of a batch's number

Read = TypeVar("Read")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A file and how it is to be read. `name` is what its bringer calls it; `max_file` bounds its bytes after
    unpacking."""

    path: Path
    form: str
    name: str = ""
    ties: TiePolicy = "skip"
    mapping: FocusMapping | None = None
    max_file: int = MAX_FILE

    @property
    def title(self) -> str:
        return self.name or self.path.name

    def rows(self) -> Iterator[str]:
        if not self.path.is_file():
            raise NotFoundError(f"There is no file {self.title}.")
        return rows_of(self.path, max_file=self.max_file)


class DryRunError(DomainError):
    """Raised to roll a rehearsal back; carries the report."""

    def __init__(self, report: ImportReport) -> None:
        super().__init__("Nothing was stored: this was a rehearsal.")
        self.report = report


def import_file(
    *,
    source: Source,
    batch: Batch | None = None,
    new_batch: bool = False,
    skip_invalid: bool = False,
    dry_run: bool = False,
    by: User | None = None,
) -> tuple[Batch, ImportReport]:
    """All of the file in one transaction, or nothing. It is read through once before, so that a file with a bad row
    never holds the database up.

    Without a batch the judgments go into the week that is open, and into a new one where none is or one is asked for.

    Raises:
        InvalidImportError: bad rows (the first of them listed), or a file that cannot be read to its end.
        NotFoundError: there is no such file.
        DryRunError: `dry_run` was asked for; carries the report.
    """
    bad = ImportReport()
    for row in bad_rows(source):
        bad.refuse(row.line, row.reason)
    if bad.bad_n and not skip_invalid:
        raise refusal(bad)
    # Read again inside the transaction: a file that does not fit into memory can be stored whole in no other way.
    with transaction.atomic():
        into = batch or _batch(new_batch=new_batch, by=by)
        good = (item for item in read_items(source) if not isinstance(item, BadRow))
        report = ingest_judgments(batch=into, items=good, origin=source.form)
        report.bad_n, report.bad_rows = bad.bad_n, bad.bad_rows
        if dry_run:
            raise DryRunError(report)
        if report.judgments or report.comparisons:
            _record(into, source, report, by)
        return into, report


def import_prompt_set(
    *, source: Source, skip_invalid: bool = False, dry_run: bool = False, by: User | None = None
) -> PromptReport:
    """The prompts of a file whose format is one of PROMPT_SETS: all of them, or nothing.

    Raises:
        InvalidImportError, NotFoundError: as `import_file`.
        PromptRehearsalError: `dry_run` was asked for; carries the report.
    """
    bad = ImportReport()
    for row in bad_rows(source):
        bad.refuse(row.line, row.reason)
    if bad.bad_n and not skip_invalid:
        raise refusal(bad)
    good = (item for item in read_set(source) if not isinstance(item, BadRow))
    try:
        report = import_prompts(items=good, name=source.title, dry_run=dry_run, by=by)
    except PromptRehearsalError as rehearsal:
        rehearsal.report.bad_n, rehearsal.report.bad_rows = bad.bad_n, bad.bad_rows
        raise
    report.bad_n, report.bad_rows = bad.bad_n, bad.bad_rows
    return report


def bad_rows(source: Source) -> Iterator[BadRow]:
    """Every bad row of a file, streaming.

    Raises:
        InvalidImportError: while iterating: it cannot be read to its end.
    """
    items: Iterable[object] = read_set(source) if source.form in PROMPT_SETS else read_items(source)
    return (item for item in items if isinstance(item, BadRow))


def read_items(source: Source) -> Iterator[Item]:
    """What is in a file of judgments, streaming.

    Raises:
        InvalidImportError: while iterating: it cannot be read to its end.
    """
    return _whole(source, lambda rows: read(rows, form=source.form, ties=source.ties, mapping=source.mapping))


def read_set(source: Source) -> Iterator[ImportedPrompt | BadRow]:
    """What is in a file of prompts, streaming.

    Raises:
        InvalidImportError: while iterating: it cannot be read to its end.
    """
    said = source.mapping or FocusMapping()
    return _whole(source, lambda rows: read_prompt_set(rows, form=source.form, said=said))


def _whole(source: Source, reader: Callable[[Iterator[str]], Iterator[Read]]) -> Iterator[Read]:
    try:
        yield from reader(source.rows())
    except UnreadableFileError as error:
        raise InvalidImportError(
            f"{source.title} cannot be read to its end, so nothing was imported: {error}",
            errors=[{"line": error.line, "reason": error.reason}],
        ) from error


@dataclass(frozen=True, slots=True)
class Look:
    """The beginning of a file: its rows, the format it seems to have (empty: none is known), and the mapping that goes
    with it."""

    rows: list[Row]
    form: str
    mapping: FocusMapping | None
    seen: Seen | None = None  # the names and answers of a project, where the format has free ones


def look_into(*, path: Path, name: str = "", form: str = "", max_file: int = MAX_FILE) -> Look:
    """What a file seems to be, or is if `form` says so. `name` is what its bringer calls it.

    Raises:
        InvalidImportError: not even its beginning can be read.
    """
    source = Source(path=path, form=form, name=name, max_file=max_file)
    rows = _whole(source, lambda texts: iter(first_rows(texts)))
    found = list(rows)
    form = form or guess_format(found)
    if not form:
        return Look(found, form, None)
    return Look(found, form, guess_mapping(form, found), seen_in(form, found))


def preview(source: Source, count: int) -> list[Item | ImportedPrompt]:
    """The first items of a file as they will be.

    Raises:
        InvalidImportError: it cannot be read that far.
    """
    items: Iterator[Item | ImportedPrompt] = (
        read_set(source) if source.form in PROMPT_SETS else read_items(source)
    )
    return list(islice(items, count))


def batch_called(name: str) -> Batch | None:
    """The batch of that name; None: none is meant.

    Raises:
        NotFoundError: there is none.
    """
    if not name:
        return None
    if (batch := batch_named(name)) is None:
        raise NotFoundError(f"There is no batch named {name!r}.")
    return batch


def _batch(*, new_batch: bool, by: User | None) -> Batch:
    """A new week opens at once only where none is open: annotators work on one at a time."""
    current = open_batch()
    if current is not None and not new_batch:
        return current
    created = batches.create_batch(by=by)
    return created if current is not None else batches.open_batch(batch=created, by=by)


def _record(batch: Batch, source: Source, report: ImportReport, by: User | None) -> None:
    """The batch's history says under which version of the mapping the file was read, and by whom it was brought."""
    detail = {
        "imported": source.title,
        "format": source.form,
        "mapping_version": FORMATS[source.form].version,
        "mapping": source.mapping.model_dump(mode="json") if source.mapping else {},
        "ties": source.ties,
        "judgments": report.judgments,
        "ties_met": report.ties,
        "bad_rows": report.bad_n,
    }
    batch.refresh_from_db(fields=["state"])
    BatchEvent.objects.create(batch=batch, state=batch.state, by=by, detail=detail)
    record("batch.imported", batch, by=by, file=source.title, format=source.form, judgments=report.judgments)
