"""A POST that names itself is done once. Rosa plans weeks and adds prompts; Ada judges."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from annotation.api.kit.idempotency import HashingStream
from annotation.core.scopes import Scope
from annotation.models import Batch, Comparison, IdempotentRequest, Judgment, Prompt, User
from annotation.services.batches import create_batch
from annotation.services.idempotency import KEPT, prune_requests
from annotation.services.tokens import make_token
from annotation.tests.test_races import at_once
from tests.factories import make_user

AsUser = Callable[[User], Client]
BATCHES, PROMPTS = "/api/v1/batches", "/api/v1/prompts"


def post(client: Client, address: str, body: Any, key: str | None, **options: Any) -> Any:
    headers = {**options.pop("headers", {}), **({} if key is None else {"Idempotency-Key": key})}
    return client.post(address, body, content_type="application/json", headers=headers, **options)


@pytest.fixture
def client(rosa: User, as_user: AsUser) -> Client:
    return as_user(rosa)


def test_the_same_request_is_done_once_and_answered_alike(client: Client) -> None:
    first, again = (post(client, BATCHES, {"overlap": 2}, "week") for _ in range(2))
    assert (first.status_code, first.content) == (again.status_code, again.content)
    assert (first.get("Idempotency-Replayed"), again["Idempotency-Replayed"]) == (None, "true")
    assert again["Content-Type"] == first["Content-Type"]
    assert Batch.objects.count() == 1


def test_without_a_name_every_request_counts(client: Client) -> None:
    for _ in range(2):
        assert post(client, BATCHES, {}, None).status_code == 201
    assert Batch.objects.count() == 2
    assert not IdempotentRequest.objects.exists()


@pytest.mark.parametrize(
    ("address", "body"),
    [(BATCHES, {"overlap": 3}), (f"{BATCHES}?x=1", {"overlap": 2}), (PROMPTS, {"overlap": 2})],
)
def test_a_name_is_not_used_for_something_else(client: Client, address: str, body: dict[str, int]) -> None:
    post(client, BATCHES, {"overlap": 2}, "week")
    answer = post(client, address, body, "week")
    assert (answer.status_code, answer.json()["code"]) == (409, "idempotency-key-reused")
    assert Batch.objects.count() == 1


def test_a_name_is_ones_own(client: Client, as_user: AsUser) -> None:
    rita = make_user("rita", role="researcher")
    assert post(client, BATCHES, {}, "week").status_code == 201
    assert post(as_user(rita), BATCHES, {}, "week").status_code == 201
    assert Batch.objects.count() == 2


def test_a_refusal_is_not_kept_and_may_be_put_right(client: Client) -> None:
    create_batch(name="Taken")
    assert post(client, BATCHES, {"name": "Taken"}, "week").status_code == 409
    assert not IdempotentRequest.objects.exists()
    assert post(client, BATCHES, {"name": "Free"}, "week").status_code == 201


def test_what_broke_half_way_has_done_nothing(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: object) -> None:
        raise RuntimeError("the answer could not be written")

    with monkeypatch.context() as patch:
        patch.setattr("annotation.api.batches.batch_progress", broken)
        answer = post(client, BATCHES, {}, "week")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert not Batch.objects.exists()
    assert post(client, BATCHES, {}, "week").status_code == 201


@pytest.mark.parametrize("key", ["", " ", "é", "a b", "x" * 129, "a\tb"])
def test_a_name_that_cannot_be_is_refused(client: Client, key: str) -> None:
    answer = post(client, BATCHES, {}, key)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "Idempotency-Key")


def test_a_stranger_keeps_nothing(db: None) -> None:
    assert post(Client(), BATCHES, {}, "week").status_code == 401
    assert not IdempotentRequest.objects.exists()


def test_another_token_does_not_get_the_answer(rosa: User) -> None:
    texts = [
        make_token(user=rosa, name="x", scopes=[scope])[1] for scope in (Scope.DATA_WRITE, Scope.DATA_READ)
    ]
    answers = [
        post(Client(), BATCHES, {}, "week", headers={"Authorization": f"Bearer {text}"}) for text in texts
    ]
    assert [answer.status_code for answer in answers] == [201, 409]


def test_the_workbench_may_name_its_requests_too(
    ada: User, pairs: Callable[..., list[Comparison]], as_user: AsUser
) -> None:
    pairs(1)
    client = as_user(ada)
    key = client.get("/api/v1/comparisons/next").json()["items"][0]["key"]
    body = {"uid": str(uuid4()), "comparison": key, "side": "left", "grade": "better"}
    answers = [post(client, "/api/v1/judgments", body, "mine") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[1]["Idempotency-Replayed"] == "true"
    assert Judgment.objects.count() == 1


def test_old_names_are_forgotten(client: Client) -> None:
    post(client, BATCHES, {}, "old")
    post(client, BATCHES, {}, "new")
    IdempotentRequest.objects.filter(key="old").update(
        created_at=timezone.now() - KEPT - timedelta(minutes=1)
    )
    assert prune_requests() == 1
    assert [row.key for row in IdempotentRequest.objects.all()] == ["new"]


@given(
    st.lists(st.binary(max_size=50)),
    st.lists(st.tuples(st.booleans(), st.integers(0, 20)), max_size=10),
)
def test_a_body_has_the_same_hash_however_it_is_read(
    lines: list[bytes], reads: list[tuple[bool, int]]
) -> None:
    body = b"\n".join(lines)
    stream = HashingStream(io.BytesIO(body), b"start")
    seen = b"".join(stream.readline(size) if line else stream.read(size) for line, size in reads)
    assert body.startswith(seen)
    assert stream.digest() == hashlib.sha256(b"start" + body).hexdigest()


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(
    connection.vendor == "sqlite", reason="its one connection is shared; test_api_servers asks a real server"
)
def test_fifty_at_once_are_one(as_user: AsUser) -> None:
    client = as_user(make_user("rosa", role="researcher"))
    body = {"prompts": [{"text": f"Why {i}?", "focus": "helpfulness"} for i in range(20)]}
    cookie = client.cookies

    def send() -> tuple[int, bytes]:
        mine = Client()
        mine.cookies = cookie
        answer = post(mine, PROMPTS, body, "all-at-once")
        return answer.status_code, answer.content

    answers = at_once(*[send] * 50)
    assert {status for status, _ in answers} == {201}
    assert len({content for _, content in answers}) == 1
    assert (Prompt.objects.count(), IdempotentRequest.objects.count()) == (20, 1)
    assert json.loads(answers[0][1])["new"] == 20
