"""Rewards for the rows of a file: `manage.py score_file VERSION IN.jsonl OUT.jsonl`."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError

from annotation.errors import DomainError
from training.launchers.asking import ChildFailedError, ask_child
from training.services.naming import reward_model_called

MODULE: Final = "rewardmodel.core.score_file"
STOPPED: Final = 130


class Command(BaseCommand):
    help = (
        "Rate given responses with a reward model: rows {messages, responses} come out with rewards, raw, one for each "
        "response. All rows are checked before one is rated; a killed scoring goes on. docs/external-sets.md says more."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("version", help="a reward model's name, or its directory")
        parser.add_argument("file", type=Path, metavar="IN", help="JSON lines or a JSON array, plain or gzip")
        parser.add_argument("out", type=Path, metavar="OUT", help="JSON lines")
        parser.add_argument("--replace", action="store_true", help="write over a file that is there")
        parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
        parser.add_argument("--tokens-per-batch", type=int, help="of one pass; default: as in its training")
        parser.add_argument(
            "--backbone", type=Path, metavar="DIR", help="the policy below a directory's reward model"
        )
        parser.add_argument(
            "--backbone-base", type=Path, metavar="DIR", help="base weights, where that is an adapter"
        )

    def handle(self, **options: Any) -> None:
        file: Path = options["file"]
        if not file.is_file():
            raise CommandError(f"There is no file {file}.")
        try:
            reference = reward_model_called(
                options["version"], backbone=options["backbone"], backbone_base=options["backbone_base"]
            )
            spec = {
                "file": str(file.absolute()),
                "out": str(options["out"].absolute()),
                "reward_model": reference,
                "device": options["device"],
                "tokens_per_batch": options["tokens_per_batch"],
                "replace": options["replace"],
            }
            done = ask_child(MODULE, spec)
        except (DomainError, ChildFailedError) as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            raise CommandError("Stopped. The same command goes on.", returncode=STOPPED) from None
        self.stdout.write(
            f"{done['responses']:,} responses in {done['rows']:,} rows, written to {options['out']}."
        )
