"""A process that shares a run's work: `python -m training.core.shard_worker --out DIR --index 3 --count 4`.

The leading process starts its own workers so. By hand the same command joins a run that is at work, from any machine
that sees the folder, the policy and the reward models under the same paths: any index from the run's `workers` upwards
will do, and nobody need be told of it. It computes what others have not begun, writes chunks into the folder and ends
when nothing is left, or when nobody leads the run any more.

Knows the folder, devices, threads and signals. Must not know what is computed.

Exit codes: 0 nothing is left to do; 1 errored; 2 failed, the message is on stderr; 70 the launcher died; 75 nobody
leads the run; 130 cancelled.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, Final

from rewardmodel.core.report import RunCancelledError, RunFailedError
from training.core.cli import CANCELLED, FAILED, LOCKED, OK, die_with_launcher
from training.core.crew import is_led
from training.core.events import EventWriter
from training.core.job import RESULT, SPEC, Job
from training.core.shards import Place
from training.core.spec import RunFile

MODULE: Final = "training.core.shard_worker"

Work = Callable[[Job, Place, int], Any]


def main(argv: Sequence[str], *, work: Work | None = None) -> int:
    """Do a share of what `work` computes (rejection sampling's by default) and return the exit code."""
    arguments = _parser().parse_args(argv)
    out: Path = arguments.out
    if arguments.index < 0 or arguments.count < 1:
        sys.stderr.write("--index counts from 0 and --count from 1\n")
        return FAILED
    if arguments.tied:
        die_with_launcher()
    if (out / RESULT).exists():
        return OK
    if not (out / SPEC).exists() or not is_led(out):
        sys.stderr.write(f"nobody works at a run in {out}; start it first, then join\n")
        return LOCKED
    file = RunFile.model_validate_json((out / SPEC).read_bytes())
    with EventWriter(Path(os.devnull)) as events:
        job = Job(file, out, events)
        _stop_on_signals(job)
        try:
            (work or _sample)(job, Place(arguments.index, arguments.count), arguments.threads)
        except RunFailedError as error:
            sys.stderr.write(f"{error}\n")
            return FAILED
        except RunCancelledError:
            # The leader may have finished while this process waited for the last chunk.
            return OK if (out / RESULT).exists() else CANCELLED
    return OK


def command(
    out: Path, place: Place, *, module: str = MODULE, device: str | None = None, threads: int = 0
) -> list[str]:
    """What starts worker `place.index` of the run in `out`, tied to this process.

    `device` is what it sees of the GPUs: CUDA_VISIBLE_DEVICES of its environment. `threads` as the option.
    """
    seen = ["env", f"CUDA_VISIBLE_DEVICES={device}"] if device is not None else []
    shared = ["--index", str(place.index), "--count", str(place.count), "--threads", str(threads), "--tied"]
    return [*seen, sys.executable, "-m", module, "--out", str(out), *shared]


def _sample(job: Job, place: Place, threads: int) -> None:
    import torch  # noqa: PLC0415 - not before there is work

    from training.core.rejection import work_along  # noqa: PLC0415 - it imports torch

    if threads:
        torch.set_num_threads(threads)
    _quieten()
    work_along(job, place)


def _quieten() -> None:
    from transformers import utils  # noqa: PLC0415 - as above

    untyped: Any = utils.logging
    untyped.disable_progress_bar()


def _stop_on_signals(job: Job) -> None:
    def ask(number: int, frame: FrameType | None) -> None:
        job.cancel()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, ask)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}", description="Share the work of a run.")
    parser.add_argument("--out", type=Path, required=True, help="the run's folder")
    parser.add_argument(
        "--index",
        type=int,
        required=True,
        help="which worker this is; the leader is 0, and one that joins takes any number from --count upwards",
    )
    parser.add_argument("--count", type=int, required=True, help="how many there are")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0: as many as there are cores")
    parser.add_argument("--tied", action="store_true", help="end when standard input ends")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
