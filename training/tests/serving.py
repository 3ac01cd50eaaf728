"""A real `transformers serve`, for tests."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.house import free_port


@contextmanager
def serve_policy(policy: Path | None, log: Path) -> Iterator[str]:
    """Its address, once it answers. Without a policy it loads whatever folder a request names."""
    for package in ("fastapi", "uvicorn", "openai"):
        pytest.importorskip(package)
    program = shutil.which("transformers", path=str(Path(sys.executable).parent))
    assert program is not None
    address = f"http://127.0.0.1:{(port := free_port())}"
    pinned = [str(policy)] if policy else []
    command = [program, "serve", *pinned, "--host", "127.0.0.1", "--port", str(port)]
    with log.open("wb") as file:
        process = subprocess.Popen(
            [*command, "--device", "cpu", "--dtype", "float32"], stdout=file, stderr=file
        )
        try:
            _wait_until_healthy(address, process)
            yield address
        finally:
            process.kill()
            process.wait()


def _wait_until_healthy(address: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 90
    while True:
        assert process.poll() is None, "the server ended"
        assert time.monotonic() < deadline, "the server does not start"
        try:
            if httpx.get(f"{address}/health", trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
