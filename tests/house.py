"""A Margin installation of its own for tests that start real processes and kill them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class House:
    """`home` is its MARGIN_HOME; `environment` chooses SQLite and files, or the servers named outside."""

    home: Path
    environment: dict[str, str]

    def manage(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            check=True,
        )

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, code: str) -> str:
        """What a piece of Python prints in a process of this house."""
        return self.manage("shell", "-v", "0", "-c", code).stdout

    def serve(
        self, port: int, *, threads: int = 4, application: str = "config.wsgi:application"
    ) -> subprocess.Popen[bytes]:
        """A web server of this house, in a process group of its own; `kill_server` ends it, and `answers` tells when
        it is up."""
        command = [sys.executable, "-m", "granian", "--interface", "wsgi", "--host", "127.0.0.1"]
        command += ["--port", str(port), "--workers", "1", "--blocking-threads", str(threads)]
        with (self.home / f"web-{port}.log").open("ab") as log:
            return subprocess.Popen(
                [*command, "--log-level", "warning", application],
                cwd=ROOT,
                env=self.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def summary(self) -> dict[str, Any]:
        read: dict[str, Any] = json.loads((self.home / "summary.json").read_text())
        return read

    def counts(self, *models: str) -> dict[str, int]:
        """Rows of each model, asked in a process of this house."""
        code = (
            "import json; from django.apps import apps;"
            f"print(json.dumps({{m: apps.get_model(m).objects.count() for m in {models!r}}}))"
        )
        read: dict[str, int] = json.loads(self.run(code))
        return read


def kill_server(process: subprocess.Popen[bytes]) -> None:
    """Server and workers, at once."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def answers(port: int, *, seconds: float = 30) -> bool:
    """Whether a web server answers on this port within the time."""
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                return True
        except OSError:
            time.sleep(0.05)
    return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def build_house(home: Path) -> Iterator[House]:
    """A migrated house; on PostgreSQL its database is dropped afterwards."""
    environment = {
        **{k: v for k, v in os.environ.items() if k not in {"DATABASE_URL", "CELERY_BROKER_URL"}},
        "MARGIN_HOME": str(home),
        "HF_HUB_OFFLINE": "1",
        "RUN_SILENCE": "4",
        "RUN_HEARTBEAT": "0.5",
        "RUN_THREADS": "1",
        "LOG_LEVEL": "WARNING",
    }
    with contextlib.ExitStack() as stack:
        if server := os.environ.get("DATABASE_URL"):
            environment["DATABASE_URL"] = stack.enter_context(_fresh_database(server))
            environment["CELERY_BROKER_URL"] = _fresh_broker(os.environ["CELERY_BROKER_URL"])
        house = House(home, environment)
        house.manage("migrate", "-v", "0")
        yield house


@contextlib.contextmanager
def _fresh_database(server: str) -> Iterator[str]:
    import psycopg  # noqa: PLC0415  only where a server is tested
    from psycopg.conninfo import conninfo_to_dict, make_conninfo  # noqa: PLC0415

    name = f"margin_house_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(make_conninfo(server), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        parts = conninfo_to_dict(server)
        user = parts.get("user", "postgres")
        host, port = str(parts.get("host", "127.0.0.1")), parts.get("port", 5432)
        place = f"/{name}?host={host}" if host.startswith("/") else f"{host}:{port}/{name}"
        try:
            yield f"postgresql://{user}@{place}"
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def _fresh_broker(server: str) -> str:
    """A Redis database of this test process's own, emptied: 10 and up, by pytest's worker."""
    import redis  # noqa: PLC0415  only where a server is tested

    number = 10 + int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % 6
    url = f"{server.rpartition('/')[0]}/{number}"
    redis.Redis.from_url(url).flushdb()
    return url


def kill_each_once(loop: subprocess.Popen[str], pick: Callable[[psutil.Process], str | None]) -> list[str]:
    """SIGKILL every process below `loop` once for each word that `pick` gives it, while the loop runs."""
    killed: list[str] = []
    parent = psutil.Process(loop.pid)
    while loop.poll() is None:
        with contextlib.suppress(psutil.NoSuchProcess):
            for child in parent.children(recursive=True):
                word = _pick(pick, child)
                if word is not None and word not in killed:
                    time.sleep(0.3)  # somewhere in the middle of its work
                    child.kill()
                    killed.append(word)
        time.sleep(0.05)
    return killed


def _pick(pick: Callable[[psutil.Process], str | None], child: psutil.Process) -> str | None:
    try:
        return pick(child)
    except psutil.Error:
        return None
