"""Following a run on real servers: events arrive as they happen, and whoever leaves frees the place."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import httpx
import pytest

from tests.house import ROOT, answers, build_house, free_port

pytestmark = pytest.mark.process

SET_UP = """
from annotation.core.scopes import Scope
from annotation.models import Role, User
from annotation.services.tokens import make_token
rosa = User.objects.create_user(username="rosa", role=Role.RESEARCHER, pseudonym="rosa")
print(make_token(user=rosa, name="t", scopes=list(Scope))[1])
"""


@pytest.fixture(scope="module", params=["wsgi", "asgi"])
def client(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[httpx.Client]:
    with build_house(tmp_path_factory.mktemp("events")) as house:
        house.environment["RUN_STREAMS"] = "1"
        token, port = house.run(SET_UP).strip(), free_port()
        threads = ["--blocking-threads", "3"] if request.param == "wsgi" else []
        command = [
            sys.executable,
            "-m",
            "granian",
            "--interface",
            request.param,
            "--port",
            str(port),
            "--workers",
            "1",
        ]
        process = subprocess.Popen(
            [*command, *threads, f"config.{request.param}:application"],
            cwd=ROOT,
            env=house.environment,
            start_new_session=True,
        )
        try:
            assert answers(port)
            with httpx.Client(
                base_url=f"http://127.0.0.1:{port}/api/v1",
                headers={"Authorization": f"Bearer {token}"},
                timeout=20,
                trust_env=False,
            ) as made:
                yield made
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def start(client: httpx.Client, name: str) -> str:
    body = {"kind": "import_policy", "name": name, "source": "tiny"}
    uid: str = client.post("/runs", json=body).json()["uid"]
    return uid


def test_events_arrive_as_they_happen_and_the_stream_ends_with_the_run(client: httpx.Client) -> None:
    uid = start(client, "one")
    with client.stream("GET", f"/runs/{uid}/events") as answer:
        assert answer.headers["content-type"] == "text/event-stream"
        assert "content-encoding" not in answer.headers
        lines = answer.iter_lines()
        assert any(line == "event: progress" for line in lines)  # all that there is so far
        began = time.monotonic()
        assert client.post(f"/runs/{uid}/cancel").json()["state"] == "cancelled"
        rest = list(lines)
        assert time.monotonic() - began < 5
    assert rest[-3] == "event: end"
    assert json.loads(rest[-2].removeprefix("data: "))["state"] == "cancelled"
    last = rest[-4].removeprefix("id: ")
    assert client.get(f"/runs/{uid}/events", headers={"Last-Event-ID": last}).status_code == 204


def test_whoever_leaves_frees_the_place_for_another(client: httpx.Client) -> None:
    uid = start(client, "two")
    with client.stream("GET", f"/runs/{uid}/events") as answer:
        lines = answer.iter_lines()  # kept: one that nobody holds leaves the stream
        assert next(lines) == "retry: 2000"
        refused = client.get(f"/runs/{uid}/events")
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "10")
    limit = time.monotonic() + 25  # a thread finds out when it next says something
    while time.monotonic() < limit:
        with client.stream("GET", f"/runs/{uid}/events") as answer:
            if answer.status_code == 200:
                return
        time.sleep(0.2)
    raise AssertionError("the place is still taken")
