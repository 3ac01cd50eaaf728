"""Put prompts into the pool: `manage.py add_prompts FILE`."""

from __future__ import annotations

from argparse import ArgumentParser
from itertools import islice
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from annotation.core.formats.fields import RowError
from annotation.core.formats.lines import open_lines
from annotation.core.formats.prompts import PromptForm, form_of, language_code, read_prompts
from annotation.core.grades import Focus
from annotation.errors import DomainError
from annotation.services.prompts import PromptRehearsalError, PromptReport, import_prompts

SHOWN = 20  # near-duplicates


class Command(BaseCommand):
    help = (
        "Put the prompts of a file into the pool: JSON lines or CSV, plain or gzip. All of it or nothing; the same "
        "file again adds nothing. docs/prompts.md describes the fields."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument(
            "--format",
            choices=list(PromptForm),
            dest="form",
            help="default: csv where the file's name says so",
        )
        parser.add_argument("--focus", choices=list(Focus), help="of rows that do not state one")
        parser.add_argument("--language", default="", help="of rows that do not state one, such as en")
        parser.add_argument(
            "--skip-invalid", action="store_true", help="take the good rows and report the others"
        )
        parser.add_argument("--dry-run", action="store_true", help="check and report, store nothing")

    def handle(self, **options: Any) -> None:
        path: Path = options["file"]
        if not path.is_file():
            raise CommandError(f"There is no file {path}.")
        try:
            items = read_prompts(
                open_lines(path),
                form=PromptForm(options["form"] or form_of(path.name)),
                focus=Focus(options["focus"]) if options["focus"] else None,
                language=language_code(options["language"]),
            )
            report = import_prompts(
                items=items,
                name=path.name,
                skip_invalid=options["skip_invalid"],
                dry_run=options["dry_run"],
            )
        except PromptRehearsalError as rehearsal:
            self._print(rehearsal.report)
            self.stdout.write(rehearsal.message)
        except RowError as error:
            raise CommandError(f"--{error}") from error
        except DomainError as error:
            self._print_rows(error.errors)
            raise CommandError(error.message) from error
        else:
            self._print(report)

    def _print(self, report: PromptReport) -> None:
        self._print_rows(report.bad_rows)
        for near in islice(report.near, SHOWN):
            self.stdout.write(
                f"near-duplicate ({near.similarity:.2f}): {near.text[:60]!r} of {near.other[:60]!r}"
            )
        if len(report.near) > SHOWN:
            self.stdout.write(f"... and {len(report.near) - SHOWN:,} more near-duplicates")
        self.stdout.write(
            f"{report.new:,} new prompts, {len(report.near):,} of them near-duplicates of others; {report.joined:,} "
            f"that were stored already joined the pool. Left out: {report.already:,} in the pool before, "
            f"{report.repeated:,} repeated in the file, {len(report.bad_rows):,} bad rows."
        )

    def _print_rows(self, rows: list[dict[str, object]]) -> None:
        for row in rows:
            self.stderr.write(f"line {row['line']}: {row['reason']}")
