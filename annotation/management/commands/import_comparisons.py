"""Import other people's judgments: `manage.py import_comparisons FILE --format hh-rlhf`."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from annotation.core.formats.registry import FORMATS
from annotation.errors import DomainError
from annotation.services.imports import DryRunError, import_file
from annotation.services.ingest import ImportReport


class Command(BaseCommand):
    help = (
        "Import judgments from a JSON lines file, plain or gzip. All of it or nothing; the same file again adds "
        "nothing. docs/import.md describes the formats and how foreign scales become grades."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--format", required=True, choices=sorted(FORMATS), dest="form")
        parser.add_argument(
            "--ties", choices=["skip", "unsure"], default="skip", help="what a vote for neither becomes"
        )
        parser.add_argument(
            "--skip-invalid", action="store_true", help="take the good rows and report the others"
        )
        parser.add_argument(
            "--batch", default="", metavar="NAME", help="default: the open week, or a new one"
        )
        parser.add_argument("--dry-run", action="store_true", help="check and report, store nothing")

    def handle(self, **options: Any) -> None:
        try:
            batch, report = import_file(
                path=options["file"],
                form=options["form"],
                ties=options["ties"],
                skip_invalid=options["skip_invalid"],
                batch_name=options["batch"],
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

    def _print(self, report: ImportReport) -> None:
        self._print_rows(report.bad_rows)
        self.stdout.write(
            f"{report.judgments:,} judgments on {report.comparisons:,} new comparisons. Left out: "
            f"{report.already:,} stored earlier, {report.repeated:,} repeated in the file, {report.ties:,} ties, "
            f"{len(report.bad_rows):,} bad rows."
        )

    def _print_rows(self, rows: list[dict[str, object]]) -> None:
        for row in rows:
            self.stderr.write(f"line {row['line']}: {row['reason']}")
