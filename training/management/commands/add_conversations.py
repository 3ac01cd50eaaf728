"""Keep a file of conversations to fine-tune on: `manage.py add_conversations FILE`."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from annotation.core.formats.lines import MAX_FILE
from annotation.errors import DomainError
from training.services.conversations import keep_conversations


class Command(BaseCommand):
    help = (
        "Check a file of conversations, all of it or nothing, keep it, and print the hash by which a fine-tuning names "
        "it. docs/fine-tuning.md describes the lines."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help="JSON lines or a JSON array, plain or gzip")

    def handle(self, **options: Any) -> None:
        file: Path = options["file"]
        if not file.is_file():
            raise CommandError(f"There is no file {file}.")
        try:
            kept = keep_conversations(source=file, max_file=MAX_FILE)
        except DomainError as error:
            raise CommandError(error.message) from error
        self.stderr.write(f"{kept.count:,} conversations are kept.")
        self.stdout.write(kept.sha256)
