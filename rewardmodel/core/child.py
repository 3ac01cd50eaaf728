"""A computation that a command starts as a process of its own, so that the command itself needs no torch.

`python -m MODULE --spec spec.json` says how far it is on standard error and prints one JSON document on standard
output: the result, or {"error": "one sentence"} with exit code 2. With `--tied` its first line of standard input is a
JSON object of secrets, which stand in no file and on no command line, and it ends when standard input ends: whoever
started it holds the other side. Knows this protocol. Must not know what is computed.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from annotation.core.records import canonical_json
from rewardmodel.core.report import RunFailedError

FAILED: Final = 2
PARENT_DIED: Final = 70
PROGRESS_SECONDS: Final = 2.0

Secrets = Mapping[str, str]


class Told:
    """A reporter whose listener reads standard error."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._stage = ""
        self._last = float("-inf")

    def progress(self, done: int, total: int, unit: str) -> None:
        """See Reporter. At most one line in two seconds, and the last."""
        if done == total or self._clock() - self._last >= PROGRESS_SECONDS:
            self._last = self._clock()
            self._say(f"{self._stage}: {done:,} of {total:,} {unit}")

    def stage(self, name: str) -> None:
        self._stage, self._last = name, self._clock()

    def metric(self, name: str, value: float, step: int) -> None:
        """Nobody follows a curve here."""

    def note(self, text: str) -> None:
        self._say(text)

    def check(self) -> None:
        """Whoever wants it to stop ends the process; what is written stands."""

    def _say(self, text: str) -> None:
        sys.stderr.write(text + "\n")
        sys.stderr.flush()


def run(argv: Sequence[str], *, name: str, work: Callable[[bytes, Secrets, Told], Mapping[str, Any]]) -> int:
    """Do `work` on the spec that the arguments name, say what came of it and return the exit code."""
    parser = argparse.ArgumentParser(prog=f"python -m {name}")
    parser.add_argument("--spec", type=Path, required=True, help="what to do, as JSON")
    parser.add_argument("--tied", action="store_true", help="read secrets, end when standard input ends")
    arguments = parser.parse_args(argv)
    secrets: Secrets = {}
    if arguments.tied:
        secrets = json.loads(sys.stdin.buffer.readline() or b"{}")
        threading.Thread(target=_die_with_parent, name="parent", daemon=True).start()
    try:
        result = work(arguments.spec.read_bytes(), secrets, Told())
    except (RunFailedError, OSError) as error:
        _answer({"error": str(error)})
        return FAILED
    except ValidationError as error:
        wrong = [
            f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors(include_input=False)
        ]
        _answer({"error": f"The spec cannot be used: {'; '.join(wrong)}."})
        return FAILED
    _answer(result)
    return 0


def _answer(value: Mapping[str, Any]) -> None:
    sys.stdout.write(canonical_json(value) + "\n")
    sys.stdout.flush()


def _die_with_parent() -> None:
    with suppress(OSError):
        while os.read(0, 4096):
            pass
    os._exit(PARENT_DIED)
