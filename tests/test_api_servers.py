"""Requests that name themselves, sent to real servers: fifty at once, and one whose server dies before it answers."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.house import House, answers, build_house, free_port, kill_server

pytestmark = pytest.mark.process
MAKE_TOKEN = """
from annotation.core.scopes import Scope
from annotation.models import Role
from annotation.services.people import ensure_person
from annotation.services.tokens import make_token
rosa = ensure_person(username="rosa", password="correct horse", role=Role.RESEARCHER)
print(make_token(user=rosa, name="test", scopes=list(Scope))[1])
"""
BODY: dict[str, Any] = {"prompts": [{"text": f"Why {i}?", "focus": "helpfulness"} for i in range(10)]}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    place: Path = tmp_path_factory.mktemp("house")
    with build_house(place) as found:
        yield found


@pytest.fixture(scope="module")
def token(house: House) -> str:
    return house.run(MAKE_TOKEN).strip()


def headers(token: str, key: str, **more: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}", "Idempotency-Key": key, **more}


def test_fifty_at_once_are_one_and_are_answered_alike(house: House, token: str) -> None:
    port = free_port()
    server = house.serve(port, threads=8)
    try:
        assert answers(port)
        address = f"http://127.0.0.1:{port}/api/v1/prompts"
        with httpx.Client(timeout=60) as client, ThreadPoolExecutor(50) as pool:
            sent = [
                pool.submit(client.post, address, json=BODY, headers=headers(token, "all")) for _ in range(50)
            ]
            found = [future.result() for future in sent]
    finally:
        kill_server(server)
    assert {answer.status_code for answer in found} == {201}
    assert len({answer.content for answer in found}) == 1
    assert sum("Idempotency-Replayed" not in answer.headers for answer in found) == 1
    assert house.counts("annotation.Prompt", "annotation.IdempotentRequest") == {
        "annotation.Prompt": 10,
        "annotation.IdempotentRequest": 1,
    }


def test_what_was_done_before_the_server_died_is_answered_by_the_next(house: House, token: str) -> None:
    port = free_port()
    address = f"http://127.0.0.1:{port}/api/v1/batches"
    server = house.serve(port, application="tests.dying_wsgi:application")
    try:
        assert answers(port)
        with pytest.raises(httpx.HTTPError):
            httpx.post(address, json={}, headers=headers(token, "dying", **{"X-Die": "1"}), timeout=20)
    finally:
        kill_server(server)
    assert house.counts("annotation.Batch") == {"annotation.Batch": 1}
    server = house.serve(port)
    try:
        assert answers(port)
        answer = _patiently(address, headers(token, "dying"))
    finally:
        kill_server(server)
    assert (answer.status_code, answer.headers["Idempotency-Replayed"]) == (201, "true")
    assert json.loads(answer.content)["number"] == 1
    assert house.counts("annotation.Batch") == {"annotation.Batch": 1}


def _patiently(address: str, named: dict[str, str]) -> httpx.Response:
    """As a client does: again with the same name, until a server answers."""
    for _ in range(40):
        try:
            return httpx.post(address, json={}, headers=named, timeout=20)
        except httpx.HTTPError:
            time.sleep(0.25)
    raise AssertionError("no server answered")
