"""`manage.py scorer`: hold a reward model in memory and answer those who ask for rewards, until Ctrl-C."""

from __future__ import annotations

import signal
import threading
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from annotation.errors import DomainError
from rewardmodel.queries import version_named
from training.launchers.scorer import Place, ScorerEndedError, keep_scorer


class Command(BaseCommand):
    help = (
        "Hold a reward model in memory, so that the API scores at once instead of by a run. Ends with Ctrl-C."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--reward-model", required=True, metavar="NAME")
        parser.add_argument(
            "--host", default="127.0.0.1", help="address to listen on; default: this machine's own"
        )
        parser.add_argument("--port", type=int, default=0, help="default: a free one")
        parser.add_argument("--url", default="", help="what web processes call it by; default: host and port")
        parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
        parser.add_argument("--tokens-per-batch", type=int, help="of one pass; default: as in its training")
        parser.add_argument("--tied", action="store_true", help="end with the process that started this one")

    def handle(self, **options: Any) -> None:
        version = version_named(options["reward_model"])
        if version is None:
            raise CommandError(f"There is no reward model named {options['reward_model']!r}.")
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        place = Place(
            **{name: options[name] for name in ("host", "port", "url", "device", "tokens_per_batch")}
        )
        try:
            keep_scorer(version, place, ready=self._say(version.name), stop=stop, tied=options["tied"])
        except (DomainError, ScorerEndedError) as error:
            raise CommandError(str(error)) from error

    def _say(self, name: str) -> Any:
        def say(address: str) -> None:
            self.stdout.write(f"{name} answers at {address}. Ctrl-C ends it.")
            self.stdout.flush()

        return say
