"""Import other people's judgments: `manage.py import_comparisons FILE --format hh-rlhf`."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from pydantic import ValidationError

from annotation.core.formats.lines import MAX_FILE
from annotation.core.formats.mappings import FocusMapping
from annotation.core.formats.registry import FORMATS
from annotation.errors import DomainError
from annotation.services.imports import DryRunError, Source, batch_called, import_file, look_into
from annotation.services.ingest import ImportReport


class Command(BaseCommand):
    help = (
        "Import judgments from JSON lines, a JSON array (plain or gzip) or Parquet. All of it or nothing; the file "
        "again adds nothing. docs/import.md describes the formats and how foreign scales become grades."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--format", required=True, choices=sorted(FORMATS), dest="form")
        parser.add_argument(
            "--mapping",
            default="",
            metavar="JSON",
            help="what the rows do not say; without it guessed from the first ones, and printed",
        )
        parser.add_argument(
            "--ties", choices=["skip", "unsure"], default="skip", help="what a vote for neither becomes"
        )
        parser.add_argument(
            "--skip-invalid", action="store_true", help="take the good rows and report the others"
        )
        parser.add_argument(
            "--batch", default="", metavar="NAME", help="default: the open week, or a new one"
        )
        parser.add_argument("--new-batch", action="store_true", help="into a week of its own")
        parser.add_argument("--dry-run", action="store_true", help="check and report, store nothing")

    def handle(self, **options: Any) -> None:
        try:
            source = Source(
                path=options["file"],
                form=options["form"],
                ties=options["ties"],
                mapping=self._mapping(options["file"], options["form"], options["mapping"]),
            )
            batch, report = import_file(
                source=source,
                batch=batch_called(options["batch"]),
                new_batch=options["new_batch"],
                skip_invalid=options["skip_invalid"],
                dry_run=options["dry_run"],
            )
        except DryRunError as rehearsal:
            self._print(rehearsal.report)
            self.stdout.write(rehearsal.message)
        except DomainError as error:
            self._print_rows(error.errors)
            raise CommandError(error.message) from error
        else:
            self._print(report)
            self.stdout.write(f"Imported into {batch.name}.")

    def _mapping(self, path: Path, form: str, text: str) -> FocusMapping | None:
        shape = FORMATS[form].shape
        if shape is None:
            if text:
                raise CommandError(f"{form} takes no mapping: its rows say everything. Leave --mapping out.")
            return None
        if text:
            try:
                return shape.model_validate_json(text)
            except ValidationError as error:
                raise CommandError(f"--mapping cannot be understood: {error}") from error
        if not path.is_file():
            return None  # said by the service
        guessed = look_into(path=path, form=form, max_file=MAX_FILE).mapping
        if guessed is None:
            raise CommandError(
                "What its fields mean cannot be guessed. Say it with --mapping; docs/import.md shows how."
            )
        self.stdout.write(f"Mapping: {guessed.model_dump_json(exclude_defaults=True)}")
        return guessed

    def _print(self, report: ImportReport) -> None:
        self._print_rows(report.bad_rows)
        if report.bad_n > len(report.bad_rows):
            self.stderr.write(f"… and {report.bad_n - len(report.bad_rows):,} more bad rows")
        self.stdout.write(
            f"{report.judgments:,} judgments on {report.comparisons:,} new comparisons. Left out: "
            f"{report.already:,} stored earlier, {report.repeated:,} repeated in the file, {report.ties:,} ties, "
            f"{report.abstained:,} not voted, {report.bad_n:,} bad rows. {report.margins_lost:,} margins became no "
            "grade."
        )

    def _print_rows(self, rows: list[dict[str, object]]) -> None:
        for row in rows:
            self.stderr.write(f"line {row['line']}: {row['reason']}")
