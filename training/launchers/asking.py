"""A computation that a command waits for: a process of its own that ends with the command.

Knows the protocol of rewardmodel.core.child. Must not know what is computed, nor import torch.
"""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings

from annotation.core.records import canonical_json
from rewardmodel.core.child import FAILED


class ChildFailedError(Exception):
    """The computation gave no result; the message is for whoever gave the command."""


def ask_child(
    module: str, spec: Mapping[str, Any], *, secrets: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """The result of `python -m module` for a spec; its progress goes to this process's standard error.

    `secrets` are handed over by a pipe. When this process ends, however it ends, so does the other.

    Raises:
        ChildFailedError: it failed, broke or was killed.
    """
    with tempfile.TemporaryDirectory(prefix="margin-") as folder:
        file = Path(folder) / "spec.json"
        file.write_text(canonical_json(spec), encoding="utf-8")
        with _process(
            [sys.executable, "-m", module, "--spec", str(file), "--tied"], secrets or {}
        ) as process:
            assert process.stdout is not None  # noqa: S101  a pipe, below
            said = process.stdout.read()
            code = process.wait()
    result: Any = None
    with contextlib.suppress(ValueError):
        result = json.loads(said)
    if code == 0 and isinstance(result, dict):
        return result
    if code == FAILED and isinstance(result, dict) and "error" in result:
        raise ChildFailedError(str(result["error"]))
    if code < 0:
        raise ChildFailedError(
            f"The process was ended by {signal.Signals(-code).name}; if nobody did that, the machine may be short of "
            "memory. The same command goes on where it stopped."
        )
    raise ChildFailedError(f"The process broke with exit code {code}; the reason is above.")


@contextmanager
def _process(command: list[str], secrets: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        cwd=settings.BASE_DIR,
        env=settings.RUN_ENVIRONMENT,
        # Ctrl-C in the terminal is for this process alone, which stops the other in order.
        start_new_session=True,
    )
    try:
        assert process.stdin is not None  # noqa: S101  a pipe, above
        with contextlib.suppress(BrokenPipeError):  # it ended at once; its exit code says so
            process.stdin.write(json.dumps(dict(secrets)) + "\n")
            process.stdin.flush()
        yield process
    finally:
        with contextlib.suppress(OSError):
            if process.stdin is not None:
                process.stdin.close()
        _end(process)


def _end(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(settings.RUN_GRACE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    if process.stdout is not None:
        process.stdout.close()
