"""Keeps one resident scorer: starts its process, says again and again that it lives, takes both down.

Steps:

1. Start `python -m rewardmodel.core.serve` and hand it one line; its standard input is a pipe from here, so it dies
   with us.
2. Wait for the line with its port: the model is loaded.
3. Beat, so that web processes find it, until it ends or somebody wants it to.
4. Take the row away first, and only then the process: whoever was sent to it is still answered.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import select
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import structlog
from django.conf import settings
from django.db import Error as DatabaseError
from django.db import close_old_connections, connection

from rewardmodel.models import SCORER_BEAT, RewardModelVersion
from rewardmodel.services import beat_scorer, dismiss_scorer
from training.services.references import reward_model_reference

log = structlog.get_logger(__name__)

POLL: Final = 0.1  # seconds between looks at the process


class ScorerEndedError(Exception):
    """The process could not hold the model, or ended by itself; says why."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where and how a scorer runs. `url` is what web processes call it by; empty: its host and port."""

    host: str = "127.0.0.1"
    port: int = 0
    url: str = ""
    device: str = "auto"
    tokens_per_batch: int | None = None


def keep_scorer(
    version: RewardModelVersion,
    place: Place,
    *,
    ready: Callable[[str], None],
    stop: threading.Event,
    tied: bool = False,
) -> None:
    """Hold `version` until `stop` is set, or, where `tied`, until the process that started this one is gone.

    `ready` is told the address once it answers.

    Raises:
        ScorerEndedError: the model cannot be opened, or the process ended; start it again.
    """
    parent = os.getppid()
    key = secrets.token_urlsafe(32)
    line = {
        "reference": reward_model_reference(version),
        "key": key,
        "host": place.host,
        "port": place.port,
        "device": place.device,
        "tokens_per_batch": place.tokens_per_batch,
    }
    with _process(line) as process:
        port = _port(process, stop)
        if port is None:
            return
        address = place.url or f"http://{place.host}:{port}"
        try:
            _beat(version, address, key)
            ready(address)
            beaten = time.monotonic()
            while not stop.wait(POLL):
                if process.poll() is not None:
                    raise ScorerEndedError(
                        f"The process that held {version} ended with exit code {process.returncode}. "
                        "If it was killed, the machine may be short of memory."
                    )
                if tied and os.getppid() != parent:
                    return
                if time.monotonic() - beaten >= SCORER_BEAT:
                    _beat(version, address, key)
                    beaten = time.monotonic()
        finally:
            with contextlib.suppress(DatabaseError):  # its silence says the same a little later
                dismiss_scorer(address=address, key=key)


@contextmanager
def _process(line: dict[str, Any]) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "rewardmodel.core.serve"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=settings.BASE_DIR,
        env=settings.RUN_ENVIRONMENT,
        # Ctrl-C in the terminal is for this process alone, which stops the other in order.
        start_new_session=True,
    )
    try:
        assert process.stdin is not None  # noqa: S101  a pipe, above
        with contextlib.suppress(BrokenPipeError):  # it ended at once; _port says so
            process.stdin.write(json.dumps(line) + "\n")
            process.stdin.flush()
        yield process
    finally:
        process.terminate()
        try:
            process.wait(settings.RUN_GRACE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _port(process: subprocess.Popen[str], stop: threading.Event) -> int | None:
    """Where it listens, once the model is loaded; None: nobody wants it any more."""
    assert process.stdout is not None  # noqa: S101  a pipe, above
    while not select.select([process.stdout], [], [], POLL)[0]:
        if stop.is_set():
            return None
    said: dict[str, Any] = {}
    with contextlib.suppress(ValueError):
        said = json.loads(process.stdout.readline())
    if "port" not in said:
        raise ScorerEndedError(said.get("error") or "The process ended before it answered; see above.")
    return int(said["port"])


def _beat(version: RewardModelVersion, address: str, key: str) -> None:
    """A database that does not answer costs a beat, not the scorer."""
    try:
        if not connection.in_atomic_block:  # else the transaction is somebody else's, and so the connection
            close_old_connections()
        beat_scorer(version=version, address=address, key=key)
    except DatabaseError:
        log.warning("scorer's beat not stored", address=address, exc_info=True)
