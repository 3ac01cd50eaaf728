"""Live prompts through a real web server, as production starts it: lines come as they are made, nothing half-stored."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.house import ROOT, House, build_house, free_port
from training.tests.chat_server import ChatServer, Script

pytestmark = pytest.mark.process

SET_UP = """
from datetime import timedelta
from django.contrib.auth import SESSION_KEY, BACKEND_SESSION_KEY, HASH_SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore
from tests.factories import make_user, make_batch, make_policy
user = make_user("ada"); make_batch()
make_policy("V0", endpoint="{address}", endpoint_model="one")
make_policy("V1", endpoint="{address}", endpoint_model="two")
session = SessionStore()
session[SESSION_KEY], session[BACKEND_SESSION_KEY] = str(user.pk), "django.contrib.auth.backends.ModelBackend"
session[HASH_SESSION_KEY] = user.get_session_auth_hash(); session.save(); print(session.session_key)
"""
ROWS = ("annotation.Comparison", "annotation.Dialogue", "annotation.Response", "annotation.Lease")


class Site:
    def __init__(self, house: House, server: ChatServer, session: str, interface: str) -> None:
        self.house, self.server, self.interface = house, server, interface
        self.port = free_port()
        self.process = self.start()
        token = "t" * 32
        self.client = httpx.Client(
            base_url=f"http://127.0.0.1:{self.port}",
            cookies={"sessionid": session, "csrftoken": token},
            headers={"X-CSRFToken": token},
            timeout=20,
        )

    def start(self) -> subprocess.Popen[bytes]:
        application = "config.wsgi:application" if self.interface == "wsgi" else "config.asgi:application"
        threads = ["--blocking-threads", "6"] if self.interface == "wsgi" else []
        command = [sys.executable, "-m", "granian", "--interface", self.interface, "--port", str(self.port)]
        process = subprocess.Popen(
            [*command, "--workers", "1", *threads, application],
            cwd=ROOT,
            env=self.house.environment,
            start_new_session=True,
        )
        deadline = time.monotonic() + 120
        while True:
            try:
                httpx.get(f"http://127.0.0.1:{self.port}/healthz")
                return process
            except httpx.TransportError:
                assert time.monotonic() < deadline
                time.sleep(0.1)

    def kill(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    @contextmanager
    def ask(self, uid: str) -> Iterator[httpx.Response]:
        body = {"uid": uid, "focus": "helpfulness", "text": "Why?", "continues": None}
        with self.client.stream("POST", "/api/v1/live", json=body) as answer:
            assert answer.status_code == 200, answer.read()
            yield answer

    def waiting(self) -> Any:
        return self.client.get("/api/v1/live").json()["prompt"]


@pytest.fixture(scope="module", params=["wsgi", "asgi"])
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with build_house(tmp_path_factory.mktemp("live")) as house, ChatServer() as server:
        house.environment["LIVE_SECONDS"] = "30"
        said = house.manage("shell", "-v", "0", "-c", SET_UP.format(address=server.address)).stdout
        site = Site(house, server, said.strip(), request.param)
        try:
            yield site
        finally:
            site.client.close()
            site.kill()


def test_lines_arrive_as_they_are_made(site: Site) -> None:
    # The models go on only after the first words were read here.
    site.server.scripts = {"": Script("{seed} b c d e f g h i j", halts_after=6)}
    site.server.ended.clear()
    shown, line = "", {}
    with site.ask(str(uuid4())) as answer:
        for text in answer.iter_lines():
            line = json.loads(text)
            shown += line.get("left", "")
            if " c" in shown:
                site.server.ended.set()
    site.server.ended.clear()
    assert "item" in line
    assert answer.headers["x-accel-buffering"] == "no"
    assert "no-store" in answer.headers["cache-control"]
    assert "content-encoding" not in answer.headers


def test_the_site_answers_while_a_prompt_streams(site: Site) -> None:
    site.server.scripts = {"": Script("word " * 40, pause=0.03)}
    with site.ask(str(uuid4())) as answer:
        lines = answer.iter_lines()
        next(lines)
        assert site.client.get("/healthz").status_code == 200
        assert site.waiting()["state"] == "asking"
        list(lines)


def test_whoever_leaves_frees_both_connections_and_keeps_the_prompt(site: Site) -> None:
    site.server.scripts = {"": Script("word " * 2000, pause=0.02)}
    site.server.left, uid = 0, str(uuid4())
    with site.ask(uid) as answer:
        lines = answer.iter_lines()
        for _ in range(5):
            next(lines)
    deadline = time.monotonic() + 60
    while (site.server.left < 2 or site.waiting()["state"] != "failed") and time.monotonic() < deadline:
        time.sleep(0.05)
    assert site.server.left == 2
    assert (site.waiting()["uid"], site.waiting()["state"]) == (uid, "failed")


def test_a_stop_from_elsewhere_ends_the_stream_soon(site: Site) -> None:
    site.server.scripts = {"": Script("word " * 2000, pause=0.02)}
    uid = str(uuid4())
    with site.ask(uid) as answer:
        lines = answer.iter_lines()
        next(lines)
        began = time.monotonic()
        assert site.client.post(f"/api/v1/live/{uid}/stop", json={}).json() == {"state": "stopped"}
        assert json.loads(list(lines)[-1])["problem"]["code"] == "stopped"
        assert time.monotonic() - began < 5


def test_a_web_process_killed_in_the_middle_leaves_the_prompt_and_nothing_else(site: Site) -> None:
    before = site.house.counts(*ROWS)
    site.server.scripts = {"": Script("word " * 500, pause=0.02)}
    uid = str(uuid4())
    with pytest.raises(httpx.TransportError), site.ask(uid) as answer:
        for number, _ in enumerate(answer.iter_lines()):
            if number == 5:
                site.kill()
    site.process = site.start()
    assert site.house.counts(*ROWS) == before
    assert (site.waiting()["uid"], site.waiting()["text"], site.waiting()["state"]) == (uid, "Why?", "asking")
    code = (
        "from training.models import LivePrompt; from django.utils import timezone; from datetime import timedelta;"
        "LivePrompt.objects.filter(state='asking').update(attempt_at=timezone.now() - timedelta(seconds=31))"
    )
    site.house.manage("shell", "-c", code)
    assert (site.waiting()["state"], site.waiting()["message"][:23]) == ("failed", "The answers broke off. ")
    site.server.scripts = {"one": Script("One."), "two": Script("Two.")}
    with site.ask(uid) as answer:
        assert "item" in json.loads(list(answer.iter_lines())[-1])
