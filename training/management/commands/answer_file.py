"""Answers to the rows of a file: `manage.py answer_file POLICY IN.jsonl OUT.jsonl`."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError

from annotation.errors import DomainError
from training.launchers.asking import ChildFailedError, ask_child
from training.services.naming import policy_called

MODULE: Final = "training.core.answer_file"
STOPPED: Final = 130


class Command(BaseCommand):
    help = (
        "Let a policy answer: rows {messages} come out with answers. All rows are checked before one is answered; a "
        "killed answering goes on. docs/generation.md says more."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("policy", help="a policy's name, or its directory")
        parser.add_argument("file", type=Path, metavar="IN", help="JSON lines")
        parser.add_argument("out", type=Path, metavar="OUT", help="JSON lines")
        parser.add_argument("--answers", type=int, default=1, help="of each row")
        parser.add_argument("--temperature", type=float, default=1.0, help="0 is greedy")
        parser.add_argument("--top-p", type=float, default=1.0)
        parser.add_argument("--max-new-tokens", type=int, default=128)
        parser.add_argument("--tokens-per-batch", type=int, default=4096)
        parser.add_argument("--seed", type=int, default=0)
        parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
        parser.add_argument("--replace", action="store_true", help="write over a file that is there")

    def handle(self, **options: Any) -> None:
        file: Path = options["file"]
        if not file.is_file():
            raise CommandError(f"There is no file {file}.")
        same = (
            "answers",
            "temperature",
            "top_p",
            "max_new_tokens",
            "tokens_per_batch",
            "seed",
            "device",
            "replace",
        )
        try:
            spec = {
                "policy": policy_called(options["policy"]),
                "file": str(file.absolute()),
                "out": str(options["out"].absolute()),
                **{name: options[name] for name in same},
            }
            done = ask_child(MODULE, spec)
        except (DomainError, ChildFailedError) as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            raise CommandError("Stopped. The same command goes on.", returncode=STOPPED) from None
        self.stdout.write(
            f"{done['answers']:,} answers to {done['rows']:,} rows, written to {options['out']}."
        )
