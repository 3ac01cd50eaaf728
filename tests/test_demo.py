"""`make demo` as a newcomer meets it: it comes up, lets people in, and goes down without a trace."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import httpx
import psutil
import pytest

from tests.house import House, build_house, free_port

pytestmark = pytest.mark.process


@dataclass
class Demo:
    house: House
    process: subprocess.Popen[str]
    address: str
    words: str

    def sign_in(self, name: str) -> httpx.Client:
        password = re.search(rf"{name}\s+(\S+)", self.words)
        assert password is not None
        browser = httpx.Client(base_url=self.address, follow_redirects=True)
        page = browser.get("/sign-in")
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
        assert token is not None
        form = {"username": name, "password": password[1], "csrfmiddlewaretoken": token[1]}
        browser.post(str(page.url), data=form, headers={"Referer": str(page.url)})
        return browser


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    port = free_port()
    with build_house(tmp_path_factory.mktemp("demo")) as house:
        process = house.start("demo", "--port", str(port), "--model", "tiny")
        try:
            yield Demo(house, process, f"http://127.0.0.1:{port}", _read_until(process, "Ctrl-C stops"))
        finally:
            process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=30)
            process.kill()


def _read_until(process: subprocess.Popen[str], last: str) -> str:
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line)
        if last in line:
            return "".join(lines)
    raise AssertionError("the demo ended early:\n" + "".join(lines))


def test_it_says_where_it_is_and_how_to_sign_in(demo: Demo) -> None:
    assert demo.address in demo.words
    assert all(re.search(rf"{name}\s+\S+", demo.words) for name in ("ada", "ben", "rosa"))


def test_an_annotator_finds_pairs_to_rate(demo: Demo) -> None:
    with closing(demo.sign_in("ada")) as browser:
        items = browser.get("/api/v1/comparisons/next?count=3").json()["items"]
        assert len(items) == 3


def test_an_annotator_writes_a_prompt_and_gets_two_answers(demo: Demo) -> None:
    with closing(demo.sign_in("ada")) as browser:
        assert browser.get("/api/v1/live").json()["available"] is True
        browser.get("/rate")
        headers = {"X-CSRFToken": browser.cookies["csrftoken"]}
        prompt = {"uid": str(uuid4()), "focus": "helpfulness", "text": "Say something.", "continues": None}
        lines = browser.post("/api/v1/live", json=prompt, headers=headers, timeout=60).text.splitlines()
        assert "item" in json.loads(lines[-1]), lines[-1]


def test_a_researcher_finds_the_admin(demo: Demo) -> None:
    with closing(demo.sign_in("rosa")) as browser:
        assert browser.get("/admin/").status_code == httpx.codes.OK


def test_its_passwords_are_its_own_and_private(demo: Demo) -> None:
    path: Path = demo.house.home / "demo-passwords.json"
    assert path.stat().st_mode & 0o077 == 0


def test_a_taken_port_is_named_and_another_offered(demo: Demo) -> None:
    port = demo.address.rpartition(":")[2]
    with pytest.raises(subprocess.CalledProcessError) as refused:
        demo.house.manage("demo", "--port", port, "--model", "tiny")
    assert re.search(rf"Port {port} is taken.*make demo PORT=\d+", refused.value.stderr)


def test_ctrl_c_stops_all_of_it(demo: Demo) -> None:
    children = psutil.Process(demo.process.pid).children(recursive=True)
    assert len(children) >= 4  # web, two workers, response server
    demo.process.send_signal(signal.SIGINT)
    assert demo.process.wait(timeout=30) == 0
    deadline = time.monotonic() + 5
    while any(child.is_running() for child in children) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert [child for child in children if child.is_running()] == []
