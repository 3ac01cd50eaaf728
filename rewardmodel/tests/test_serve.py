"""The resident scorer over HTTP: who may ask, what it refuses, and that it says what the model says."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.conf import settings

from annotation.core.records import Message
from rewardmodel.core.backbone import PolicyRef
from rewardmodel.core.rows import Row
from rewardmodel.core.scorer import load
from rewardmodel.core.serve import FAILED, LONGEST_BODY, PARENT_DIED, Server
from rewardmodel.core.serve_desk import Desk
from rewardmodel.tests.probes import train_probe

KEY = "k" * 32
ASKED: list[Message] = [{"role": "user", "content": "What is a prime number?"}]
ROOT = Path(__file__).resolve().parent.parent.parent


class Lengths:
    broken = False

    def encode(self, group: Any) -> list[Row]:
        return [Row(tuple(range(len(text))), 0) for text in group[1]]

    def rewards(self, groups: Any) -> list[list[float]]:
        if self.broken:
            raise MemoryError("a secret of the model")
        return [[float(len(row.tokens)) for row in group] for group in groups]


@pytest.fixture
def lengths() -> Lengths:
    return Lengths()


@pytest.fixture
def client(lengths: Lengths) -> Iterator[httpx.Client]:
    desk = Desk(lengths)
    server = Server(("127.0.0.1", 0), name="lengths", key=KEY, desk=desk)
    threads = [threading.Thread(target=target) for target in (desk.run, server.serve_forever)]
    for thread in threads:
        thread.start()
    address = f"http://127.0.0.1:{server.server_address[1]}"
    with httpx.Client(base_url=address, headers={"Authorization": f"Bearer {KEY}"}, trust_env=False) as made:
        yield made
    desk.close()
    server.shutdown()
    server.server_close()
    for thread in threads:
        thread.join(10)


def body(*responses: str, seconds: float = 10) -> dict[str, Any]:
    return {"items": [{"messages": ASKED, "responses": list(responses)}], "seconds": seconds}


def test_it_answers_with_one_reward_a_response(client: httpx.Client) -> None:
    answer = client.post("/score", json=body("a", "bbb"))
    assert (answer.status_code, answer.json()) == (200, {"rewards": [[1.0, 3.0]]})
    assert client.get("/health").json() == {"reward_model": "lengths", "waiting": 0, "passes": 1}


@pytest.mark.parametrize("key", ["", "Bearer", "Bearer " + "x" * 32, "Bearer é"])
def test_another_key_is_told_nothing(client: httpx.Client, key: str) -> None:
    for method, path in (("GET", "/health"), ("POST", "/score")):
        headers = [(b"Authorization", key.encode())]
        assert client.request(method, path, headers=headers, json=body("a")).status_code == 401


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b'{"items": []}', json.dumps({**body("a"), "more": 1}).encode()],
)
def test_what_is_no_request_is_refused(client: httpx.Client, content: bytes) -> None:
    assert client.post("/score", content=content).status_code == 400


def test_a_body_without_length_or_too_long_is_not_read(client: httpx.Client) -> None:
    assert client.post("/score", content=iter([b"{}"])).status_code == 411
    with socket.create_connection((client.base_url.host, client.base_url.port or 0), timeout=10) as line:
        head = f"POST /score HTTP/1.1\r\nAuthorization: Bearer {KEY}\r\nContent-Length: {LONGEST_BODY + 1}\r\n\r\n"
        line.sendall(head.encode())
        assert b" 413 " in line.recv(100)


def test_other_addresses_are_empty(client: httpx.Client) -> None:
    assert client.get("/").status_code == 404
    assert client.post("/health").status_code == 404


def test_a_model_that_breaks_says_nothing_of_itself(client: httpx.Client, lengths: Lengths) -> None:
    lengths.broken = True
    answer = client.post("/score", json=body("a"))
    assert answer.status_code == 500
    assert "secret" not in answer.text


@pytest.fixture(scope="module")
def reference(tiny: PolicyRef, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A probe trained on a dozen pairs."""
    return train_probe(tmp_path_factory.mktemp("served"), tiny, "served")


def start(**line: Any) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "rewardmodel.core.serve"],
        cwd=ROOT,
        env={**settings.RUN_ENVIRONMENT, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps({"key": KEY, "device": "cpu", **line}) + "\n")
    process.stdin.flush()
    return process


def said(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    found: dict[str, Any] = json.loads(process.stdout.readline())
    return found


@pytest.mark.process
def test_a_process_gives_the_scores_of_the_model_and_dies_with_its_parent(reference: dict[str, Any]) -> None:
    groups = [(ASKED, ["A number with two divisors.", "No.", ""]), (ASKED[:1], ["No idea, " * 40])]
    process = start(reference=reference)
    try:
        address = f"http://127.0.0.1:{said(process)['port']}/score"
        sent = {"items": [{"messages": m, "responses": r} for m, r in groups], "seconds": 60}
        answer = httpx.post(
            address, json=sent, headers={"Authorization": f"Bearer {KEY}"}, timeout=60, trust_env=False
        )
        wanted = load(reference, device="cpu").score(groups)
        assert [len(group) for group in answer.json()["rewards"]] == [3, 1]
        for given, own in zip(answer.json()["rewards"], wanted, strict=True):
            assert given == pytest.approx(own, abs=1e-5)
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(10) == PARENT_DIED
    finally:
        process.kill()


@pytest.mark.process
def test_a_model_that_cannot_be_opened_ends_the_process_with_a_sentence(reference: dict[str, Any]) -> None:
    process = start(reference={**reference, "path": "/nowhere"})
    try:
        assert "cannot be opened" in said(process)["error"]
        assert process.wait(20) == FAILED
    finally:
        process.kill()
