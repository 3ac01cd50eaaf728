"""What the client sends, and what it makes of answers that are not what one hopes for."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import assert_type

import httpx
import pytest

from client.tests.fakes import Answers, async_margin, margin, problem
from margin_client import (
    ConflictError,
    ForbiddenError,
    InvalidError,
    Margin,
    MarginError,
    NotFoundError,
    RateLimitedError,
    ServerError,
    SignedOutError,
    UnreachableError,
)
from margin_client.types import Batch, Person

PERSON = {"username": "rosa"}
RUN = {"uid": "u", "kind": "sample", "state": "queued", "message": ""}


def test_the_token_goes_into_the_header_and_nowhere_else() -> None:
    server = Answers(httpx.Response(200, json=PERSON))
    assert_type(margin(server).me.get(), Person)
    assert server.asked[0].headers["Authorization"] == "Bearer margin_of-a-test"
    assert str(server.asked[0].url) == "http://margin.test/api/v1/me"


def test_address_and_token_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARGIN_URL", "http://elsewhere.test/")
    monkeypatch.setenv("MARGIN_TOKEN", "margin_x")
    server = Answers(httpx.Response(200, json=PERSON))
    Margin(transport=httpx.MockTransport(server)).me.get()
    assert str(server.asked[0].url) == "http://elsewhere.test/api/v1/me"
    assert server.asked[0].headers["Authorization"] == "Bearer margin_x"


@pytest.mark.parametrize(
    ("url", "token", "words"),
    [
        (None, "margin_x", "MARGIN_URL"),
        ("ftp://x", "margin_x", "MARGIN_URL"),
        ("http://x", None, "MARGIN_TOKEN"),
    ],
)
def test_what_is_missing_is_named(
    url: str | None, token: str | None, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MARGIN_URL", raising=False)
    monkeypatch.delenv("MARGIN_TOKEN", raising=False)
    with pytest.raises(MarginError, match=words):
        Margin(url, token)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, InvalidError),
        (401, SignedOutError),
        (403, ForbiddenError),
        (404, NotFoundError),
        (409, ConflictError),
        (422, InvalidError),
        (500, ServerError),
    ],
)
def test_a_problem_is_an_exception_with_the_servers_sentence(status: int, kind: type[Exception]) -> None:
    server = Answers(problem(status, "That cannot be done."))
    with pytest.raises(kind, match=r"^That cannot be done\.$"):
        margin(server).me.get()
    assert len(server.asked) == 1  # none of these may be another a moment later


def test_an_invalid_request_names_its_fields() -> None:
    wrong = [{"field": "state", "reason": "It has to be one of open, sealed."}]
    with pytest.raises(InvalidError) as caught:
        list(margin(Answers(problem(422, "No.", errors=wrong))).batches.list(state="shut"))
    assert caught.value.errors == wrong
    assert str(caught.value) == "No. state: It has to be one of open, sealed."


def test_an_answer_that_is_no_problem_of_margins_says_where_it_came_from() -> None:
    with pytest.raises(InvalidError, match=r"http://margin\.test/api/v1/me answered 418"):
        margin(Answers(httpx.Response(418, text="<h1>teapot</h1>"))).me.get()


def test_a_redirect_is_not_followed_with_the_token() -> None:
    server = Answers(httpx.Response(301, headers={"Location": "https://elsewhere.test/api/v1/me"}))
    with pytest.raises(MarginError, match=r"leads to https://elsewhere\.test"):
        margin(server).me.get()


def test_a_busy_server_is_asked_again_no_earlier_than_it_asks(slept: list[float]) -> None:
    busy = problem(503, "Busy.", headers={"Retry-After": "7"})
    server = Answers(busy, httpx.Response(200, json=PERSON))
    assert margin(server).me.get().as_dict() == PERSON
    assert len(slept) == 1
    assert 7 <= slept[0] <= 8


def test_a_date_in_retry_after_is_understood(slept: list[float]) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    server = Answers(
        problem(429, "Slow down.", headers={"Retry-After": date}), httpx.Response(200, json=PERSON)
    )
    margin(server).me.get()
    assert 28 <= slept[0] <= 31


def test_pauses_double_up_to_a_limit_and_differ_between_clients(slept: list[float]) -> None:
    server = Answers(*[httpx.ConnectError("refused")] * 7)
    with pytest.raises(UnreachableError, match=r"http://margin\.test/api/v1/ does not answer: refused"):
        margin(server, retries=6).me.get()
    longest = [0.5, 1, 2, 4, 8, 8]
    assert all(most / 2 <= pause <= most for pause, most in zip(slept, longest, strict=True))


def test_a_wait_beyond_ones_patience_is_an_error(slept: list[float]) -> None:
    server = Answers(problem(429, "Tomorrow.", headers={"Retry-After": "86400"}))
    with pytest.raises(RateLimitedError, match="Tomorrow") as caught:
        margin(server).me.get()
    assert caught.value.retry_after == 86400
    assert slept == []


def test_a_post_that_is_repeated_has_the_same_key_and_another_post_another(slept: list[float]) -> None:
    done = httpx.Response(200, json=RUN)
    server = Answers(httpx.ReadError("cut"), problem(502, "Proxy."), done, done)
    client = margin(server)
    client.runs.cancel("u")
    client.runs.cancel("u")
    keys = [request.headers["Idempotency-Key"] for request in server.asked]
    assert keys[0] == keys[1] == keys[2] != keys[3]


def test_a_get_has_no_key() -> None:
    server = Answers(httpx.Response(200, json=PERSON))
    margin(server).me.get()
    assert "Idempotency-Key" not in server.asked[0].headers


def test_a_deletion_whose_answer_was_lost_counts_as_done(slept: list[float]) -> None:
    margin(Answers(httpx.ReadError("cut"), problem(404, "Absent."))).webhooks.delete(3)
    with pytest.raises(NotFoundError):
        margin(Answers(problem(404, "Absent."))).webhooks.delete(3)


def test_names_in_addresses_lead_nowhere_else() -> None:
    server = Answers(httpx.Response(200, json=RUN))
    margin(server).runs.get("../me?x=1#y")
    assert server.asked[0].url.raw_path == b"/api/v1/runs/..%2Fme%3Fx%3D1%23y"


def test_a_collection_is_read_page_by_page_as_it_is_used() -> None:
    pages = [
        {"results": [{"number": 3}, {"number": 2}], "next": "http://margin.test/api/v1/batches?cursor=a%2Bb"},
        {"results": [{"number": 1}], "next": None},
    ]
    server = Answers(*[httpx.Response(200, json=page) for page in pages])
    rows = margin(server).batches.list(state="sealed", fields=("number", "name"))
    assert server.asked == []
    assert next(rows).number == 3
    assert len(server.asked) == 1
    assert [row.number for row in rows] == [2, 1]
    first, second = (dict(request.url.params) for request in server.asked)
    assert first == {"state": "sealed", "fields": "number,name", "page_size": "200"}
    assert second == {**first, "cursor": "a+b"}


def test_the_other_client_does_the_same_on_an_event_loop(slept: list[float]) -> None:
    page = {"results": [{"number": 1}], "next": None}
    server = Answers(httpx.ReadError("cut"), httpx.Response(200, json=PERSON), httpx.Response(200, json=page))

    async def ask() -> tuple[str, list[int]]:
        async with async_margin(server) as client:
            person = await client.me.get()
            assert_type(person, Person)
            assert_type(client.batches.list(), AsyncIterator[Batch])
            return person.username, [batch.number async for batch in client.batches.list()]

    assert asyncio.run(ask()) == ("rosa", [1])
    assert len(slept) == 1


def test_the_other_client_raises_the_same() -> None:
    async def ask() -> None:
        async with async_margin(Answers(problem(404, "Absent."))) as client:
            await client.me.get()

    with pytest.raises(NotFoundError, match="Absent"):
        asyncio.run(ask())


def test_help_shows_the_parameters_and_the_text_of_a_method() -> None:
    change = margin(Answers()).webhooks.change
    assert list(inspect.signature(change).parameters)[:2] == ["webhook", "url"]
    assert "Have a test event sent." in (margin(Answers()).webhooks.ping.__doc__ or "")
