"""The process of one run: `python -m training.core.cli --spec spec.json --out DIR [--tied]`.

Knows the folder's lock, signals, exit codes and which function computes a kind. Must not know models; torch
is imported only once the work itself is loaded. The same command after any kill goes on where the last one
stopped, and ends with the same result.

Exit codes: 0 result.json is there; 1 errored, the traceback is on stderr; 2 failed, the message is for the
researcher; 70 the launcher died; 75 another process holds the folder; 130 cancelled.
"""

from __future__ import annotations

import argparse
import fcntl
import importlib
import json
import os
import random
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType, MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from rewardmodel.core.files import write_atomically
from rewardmodel.core.report import RunCancelledError, RunFailedError
from training.core.events import EventType, EventWriter, read_events
from training.core.job import EVENTS, LOCK, RESULT, SPEC, Job
from training.core.spec import RunFile, RunKind

if TYPE_CHECKING:
    from rewardmodel.core.ranks import Ranks

OK: Final = 0
ERRORED: Final = 1
FAILED: Final = 2
LAUNCHER_DIED: Final = 70
LOCKED: Final = 75
CANCELLED: Final = 130

LOCK_SECONDS: Final = 10.0  # a killed process may take a moment to let go of the folder

KINDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        RunKind.IMPORT_POLICY: "training.core.importing:run",
        RunKind.SAMPLE: "training.core.sample:run",
        RunKind.TRAIN_REWARD_MODEL: "training.core.train_rm:run",
        RunKind.SCORE_PAIRS: "training.core.score:run",
        RunKind.SCORE: "training.core.score_items:run",
        RunKind.REJECTION_SAMPLE: "training.core.rejection:run",
        RunKind.FINETUNE: "training.core.finetune:run",
        RunKind.COMPARE_REWARD_MODELS: "training.core.compare_rm:run",
        RunKind.PPO: "training.core.ppo:run",
        RunKind.GATT: "training.core.gatt:run",
        RunKind.DISTILL: "training.core.distill:run",
        RunKind.SELF_CHAT: "training.core.self_chat:run",
    }
)


class LockedError(Exception):
    """Another process holds the folder."""


def main(
    argv: Sequence[str], *, registry: Mapping[str, str] = KINDS, lock_seconds: float = LOCK_SECONDS
) -> int:
    """Run what the arguments name and return the exit code; `registry` maps a kind to "module:function"."""
    arguments = _parser().parse_args(argv)
    out: Path = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    if (out / RESULT).exists():
        return OK
    if arguments.tied:
        die_with_launcher()
    ranks = _join(arguments.spec) if arguments.several else None
    if ranks is not None and not ranks.leads:
        return OK if ranks.any(False) else _follow(arguments.spec, out, registry)
    try:
        with folder_lock(out, lock_seconds), EventWriter(out / EVENTS) as events:
            # The process that held the lock while this one waited may have finished the work.
            done = (out / RESULT).exists()
            if ranks is not None:
                ranks.any(done)  # the others are waiting to hear whether there is something to do
            return OK if done else _attempt(arguments.spec, out, events, registry)
    except LockedError as error:
        if ranks is not None:
            ranks.any(True)
        sys.stderr.write(f"{error}\n")
        return LOCKED


def _attempt(spec: Path, out: Path, events: EventWriter, registry: Mapping[str, str]) -> int:
    events.write(EventType.STARTED, pid=os.getpid(), attempt=_attempts_before(out) + 1)
    try:
        job = Job(_adopt(spec, out), out, events)
        with _cancelled_by_signals(job):
            work = _load(registry[job.file.kind])
            _seed(job.file.seed)
            _quieten()
            job.finish(work(job))
    except RunFailedError as error:
        events.write(EventType.FAILED, message=str(error))
        return FAILED
    except RunCancelledError:
        events.write(EventType.CANCELLED)
        return CANCELLED
    except Exception as error:  # noqa: BLE001 - whatever broke, the run ends with a line for the researcher
        traceback.print_exc()
        events.write(EventType.ERRORED, message=f"{type(error).__name__}: {error}".splitlines()[0])
        return ERRORED
    return OK


def _join(spec: Path) -> Ranks:
    """Meet the processes that were launched together with this one."""
    from rewardmodel.core.ranks import join_ranks  # noqa: PLC0415 - it imports torch

    return join_ranks(RunFile.model_validate_json(spec.read_bytes()).device)


def _follow(spec: Path, out: Path, registry: Mapping[str, str]) -> int:
    """Compute beside the leading process, which alone holds the folder, speaks and writes."""
    file = RunFile.model_validate_json(spec.read_bytes())
    with EventWriter(Path(os.devnull)) as events:
        job = Job(file, out, events)
        with _cancelled_by_signals(job):
            work = _load(registry[file.kind])
            _seed(file.seed)
            _quieten()
            try:
                work(job)
            except RunFailedError:
                return FAILED
            except RunCancelledError:
                return CANCELLED
    return OK


@contextmanager
def folder_lock(out: Path, seconds: float) -> Iterator[None]:
    """Hold the folder exclusively; the kernel lets go of it when the process ends, however it ends.

    Raises:
        LockedError: if another process still holds it after `seconds`.
    """
    descriptor = os.open(out / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        deadline = time.monotonic() + seconds
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() >= deadline:
                    raise LockedError(f"another process works in {out}") from error
                time.sleep(0.05)
        yield
    finally:
        os.close(descriptor)


def die_with_launcher() -> None:
    """End this process when its standard input ends: the launcher holds the other side of the pipe."""

    def wait() -> None:
        with suppress(OSError):  # a standard input that is closed has ended too
            while os.read(0, 4096):
                pass
        os._exit(LAUNCHER_DIED)

    threading.Thread(target=wait, name="launcher", daemon=True).start()


@contextmanager
def _cancelled_by_signals(job: Job) -> Iterator[None]:
    """SIGTERM from a launcher, or SIGINT from a person, asks the work to stop at its next checkpoint."""

    def ask(number: int, frame: FrameType | None) -> None:
        job.cancel()

    before = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _adopt(spec: Path, out: Path) -> RunFile:
    """Read the spec and keep a copy in the folder, lest checkpoints of other work be taken for its own."""
    try:
        file = RunFile.model_validate_json(spec.read_bytes())
        file.spec()
    except OSError as error:
        raise RunFailedError(f"the spec cannot be read: {error.strerror}") from error
    except ValidationError as error:
        wrong = [f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()]
        raise RunFailedError(f"the spec cannot be used: {'; '.join(wrong)}") from error
    own = out / SPEC
    if not own.exists():
        write_atomically(own, json.dumps(file.model_dump(mode="json"), indent=2, sort_keys=True) + "\n")
    elif RunFile.model_validate_json(own.read_bytes()) != file:
        raise RunFailedError("the folder belongs to a run with another spec; choose an empty one")
    return file


def _attempts_before(out: Path) -> int:
    attempts, offset = 0, 0
    while True:
        events, after = read_events(out / EVENTS, offset)
        attempts += sum(event.type == EventType.STARTED for event in events)
        if after == offset:
            return attempts
        offset = after


def _load(target: str) -> Callable[[Job], dict[str, Any]]:
    module, _, function = target.partition(":")
    work: Callable[[Job], dict[str, Any]] = getattr(importlib.import_module(module), function)
    return work


def _seed(seed: int) -> None:
    """Seed what libraries draw from behind one's back; the work itself draws from generators of its own."""
    random.seed(seed)
    loaded: dict[str, Any] = dict(sys.modules)
    if "numpy" in loaded:
        loaded["numpy"].random.seed(seed)
    if "torch" in loaded:
        loaded["torch"].manual_seed(seed)


def _quieten() -> None:
    """Bars that redraw themselves are noise in a log; progress goes by events."""
    loaded: dict[str, Any] = dict(sys.modules)
    if "transformers" in loaded:
        loaded["transformers"].utils.logging.disable_progress_bar()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m training.core.cli", description="Compute one run in a folder of its own."
    )
    parser.add_argument("--spec", type=Path, required=True, help="the run's spec.json")
    parser.add_argument("--out", type=Path, required=True, help="the run's folder; made where absent")
    parser.add_argument(
        "--several", action="store_true", help="one of several processes, started by accelerate launch"
    )
    parser.add_argument("--tied", action="store_true", help="end when standard input ends")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
