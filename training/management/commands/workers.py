"""`manage.py workers`: on this machine, one worker a GPU, until Ctrl-C."""

from __future__ import annotations

import signal
import time
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from training.core.queue_names import runs_among
from training.launchers.children import Child, Children, run_worker

POLL = 0.5  # seconds


class Command(BaseCommand):
    help = (
        "Start one worker for each of the devices and keep them alive. Each takes one run at a time, which sees that "
        "worker's GPUs alone. docs/scaling.md says more."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--devices",
            nargs="+",
            required=True,
            metavar="D",
            help="GPUs by number, those of one worker joined by commas: 0 1 2,3 makes three workers; none: no GPU",
        )
        parser.add_argument(
            "--queues", nargs="+", metavar="Q", help=f"default: all, {', '.join(settings.RUN_QUEUES)}"
        )

    def handle(self, **options: Any) -> None:
        workers = workers_of(options["devices"], options["queues"] or [])
        for number in (signal.SIGINT, signal.SIGTERM):  # a shell's background job inherits SIGINT as ignored
            signal.signal(number, _interrupt)
        try:
            with Children(*workers) as children:
                for worker in workers:
                    self.stdout.write(f"{worker.name} is started; it writes to {worker.log}")
                while True:
                    time.sleep(POLL)
                    for name in children.revive():
                        self.stdout.write(f"{name} had died and was started again.")
        except KeyboardInterrupt:
            self.stdout.write("Stopped. What was at work is queued again and goes on from its checkpoint.")


def workers_of(devices: list[str], queues: list[str]) -> list[Child]:
    """A worker for each word of `devices`.

    Raises:
        CommandError: a device is no number, or is named twice, or a queue is none of runs.
    """
    numbers = [number for word in devices if word != "none" for number in word.split(",")]
    if wrong := [number for number in numbers if not number.isdecimal()]:
        raise CommandError(f"{wrong[0]!r} is no GPU's number. Example: --devices 0 1 2,3")
    if len(set(numbers)) < len(numbers):
        raise CommandError("A GPU is named twice: two runs would share its memory.")
    if strangers := sorted(set(queues) - set(runs_among(queues))):
        raise CommandError(
            f"{strangers[0]!r} is no queue of runs. There are {', '.join(settings.RUN_QUEUES)}."
        )
    return [_worker(number, word, queues) for number, word in enumerate(devices)]


def _worker(number: int, word: str, queues: list[str]) -> Child:
    if word == "none":
        return run_worker(f"cpu-worker-{number}", queues=queues, devices="")
    return run_worker(f"gpu-worker-{word.replace(',', '-')}", queues=queues, devices=word)


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt
