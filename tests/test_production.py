"""The commands of docker-compose.yml, started by hand with production's variables on PostgreSQL and Redis."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.house import ROOT, House, build_house, free_port

pytestmark = [
    pytest.mark.process,
    pytest.mark.loop,
    pytest.mark.skipif("DATABASE_URL" not in os.environ, reason="production needs PostgreSQL and Redis"),
]

SERVICES: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
START_IMPORT = (
    "from training.services.start import start_import_policy as s; s(name='V0', params={'source': 'tiny'})"
)


def command_of(service: str, port: int) -> list[str]:
    """The service's command, on a free port of this machine."""
    words = [str(port) if word == "8000" else word for word in SERVICES[service]["command"]]
    return [str(Path(sys.executable).with_name(words[0])) if words[0] != "sh" else "sh", *words[1:]]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[House, str]]:
    """Migrated as `migrate` does it, with web, worker, gpu-worker and beat running."""
    port = free_port()
    with build_house(tmp_path_factory.mktemp("production")) as house, ExitStack() as stack:
        house.environment.update(
            PRODUCTION="yes",
            SECRET_KEY="a long text that only this test knows, " * 2,
            ALLOWED_HOSTS="127.0.0.1",
            PATH=f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        )
        subprocess.run(command_of("migrate", port), cwd=ROOT, env=house.environment, check=True)
        for service in ("web", "worker", "gpu-worker", "beat"):
            process = subprocess.Popen(command_of(service, port), cwd=ROOT, env=house.environment)
            stack.callback(process.wait)
            stack.callback(process.terminate)
        yield house, f"http://127.0.0.1:{port}"


def wait_until(what: Any, patience: float = 60) -> None:
    deadline = time.monotonic() + patience
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def test_the_web_server_answers_and_its_styles_are_there(site: tuple[House, str]) -> None:
    address = site[1]
    wait_until(lambda: answers(f"{address}/healthz"))
    page = httpx.get(f"{address}/sign-in")
    assert page.status_code == httpx.codes.OK
    style = page.text.partition('rel="stylesheet" href="')[2].partition('"')[0]
    assert httpx.get(address + style).status_code == httpx.codes.OK


def test_a_run_is_carried_out_by_the_gpu_worker(site: tuple[House, str]) -> None:
    house = site[0]
    house.manage("shell", "-v", "0", "-c", START_IMPORT)
    wait_until(lambda: house.counts("training.PolicyVersion")["training.PolicyVersion"] == 1)
