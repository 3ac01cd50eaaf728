"""The streaming chat client: what it makes of servers of every kind, and of those that stall or die."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from itertools import pairwise
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation.core.records import Message
from training.core.chat_stream import GOODBYE_SECONDS, STREAM_LIMIT, ChatStreamClient, Ended
from training.core.client import (
    ServerAnswerError,
    ServerError,
    ServerRefusedError,
    ServerTimeoutError,
    ServerUnreachableError,
)
from training.tests.fake_time import run_in_no_time

MESSAGES: list[Message] = [{"role": "user", "content": "Hi"}]
SECRET = "/srv/secret/prompt <script>"
Part = bytes | float | Exception  # what a server writes, how long it waits, how it dies


class Body(httpx.AsyncByteStream):
    def __init__(self, parts: Sequence[Part]) -> None:
        self.parts = parts
        self.closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in self.parts:
            if isinstance(part, bytes):
                yield part
            elif isinstance(part, float):
                await asyncio.sleep(part)
            else:
                raise part

    async def aclose(self) -> None:
        self.closed = True


class Server:
    """Answers each request with the next of `answers`: parts of a stream, a response or an error."""

    def __init__(self, *answers: Sequence[Part] | httpx.Response | Exception) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []
        self.bodies: list[Body] = []

    async def handle(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, httpx.Response):
            return answer
        self.bodies.append(Body(answer))
        return httpx.Response(200, headers={"content-type": "text/event-stream"}, stream=self.bodies[-1])

    def ask(self, base_url: str = "http://server", key: str | None = None) -> list[str | Ended]:
        async def collect() -> list[str | Ended]:
            transport = httpx.MockTransport(self.handle)
            async with (
                ChatStreamClient(base_url, "v1", api_key=key, stall=10, transport=transport) as client,
                aclosing(client.stream(MESSAGES, temperature=0.7, top_p=0.9, max_tokens=32, seed=5)) as found,
            ):
                return [part async for part in found]

        return run_in_no_time(collect())


def chunk(content: str | None = None, finish: str | None = None, **more: Any) -> bytes:
    delta = {} if content is None else {"content": content}
    event = {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more}
    return b"data: " + json.dumps(event, ensure_ascii=False).encode() + b"\n\n"


DONE = b"data: [DONE]\n\n"


def texts(*parts: Part) -> list[str]:
    *found, ended = Server(parts).ask()
    assert isinstance(ended, Ended)
    return [str(part) for part in found]


def test_a_request_says_everything_and_nothing_a_server_may_refuse() -> None:
    server = Server([chunk("Yo", "stop"), DONE])
    server.ask("http://server/models/a/v1", key="k")
    (request,) = server.requests
    assert str(request.url) == "http://server/models/a/v1/chat/completions"
    assert request.headers["authorization"] == "Bearer k"
    assert json.loads(request.content) == {
        "model": "v1",
        "messages": MESSAGES,
        "temperature": 0.7,
        "top_p": 0.9,
        "max_tokens": 32,
        "stream": True,
        "seed": 5,
    }


def test_an_answer_is_its_texts_and_its_end() -> None:
    found = Server(
        [
            0.5,
            chunk("Yo"),
            0.25,
            chunk(" there"),
            chunk(finish="length"),
            chunk(usage={"completion_tokens": 2}),
            DONE,
        ]
    ).ask()
    assert found == ["Yo", " there", Ended("length", 2, 750)]


USAGE_ONLY = b'data: {"choices": [], "usage": {"completion_tokens": 3}}\n\n'


@pytest.mark.parametrize(
    "parts",
    [
        [b'data: {"choices": [{"delta": {"role": "assistant"}}]}\n\n', chunk("a"), chunk("b", "stop"), DONE],
        [b'data: {"choices": [{"delta": {"role": "assistant", "content": null}}]}\n\n', chunk("ab"), DONE],
        [chunk("a"), chunk(""), chunk("b"), chunk(None), chunk(finish="stop")],
        [chunk("a"), chunk("b"), DONE],
        [chunk("a"), chunk("b", "stop"), USAGE_ONLY, DONE],
        [USAGE_ONLY, chunk("a"), chunk("b", "stop"), DONE],
        [b": hello\n\n", chunk("a"), b":\n\nevent: x\nid: 7\nretry: 3\n\n", chunk("b", "stop"), DONE],
        [
            chunk("a").replace(b"\n", b"\r\n"),
            chunk("b", "stop").replace(b"\n", b"\r\n"),
            b"data: [DONE]\r\n\r\n",
        ],
        [chunk("a").replace(b"data: ", b"data:"), chunk("b", "stop"), b"data:[DONE]"],
        [chunk("a"), chunk("b", "stop").rstrip()],
        [chunk("a", error=None), chunk("b", "stop", error=None), DONE],
        [chunk("a"), chunk("b"), DONE, chunk("after the end")],
        [chunk("a"), b'data: {"choices": [{"finish_reason": null}]}\n\n', chunk("b", "stop")],
        [b'data: {"choices": [{"delta": null}]}\n\n', b'data: {"choices": null}\n\n', chunk("ab"), DONE],
    ],
)
def test_servers_of_every_kind_are_understood(parts: list[Part]) -> None:
    assert "".join(texts(*parts)) == "ab"


@given(st.lists(st.integers(0, 400)))
def test_it_does_not_matter_where_the_network_cuts(places: list[int]) -> None:
    whole = chunk("Zażółć 👍🏽") + chunk(" 漢字") + chunk(finish="stop") + DONE
    places = sorted({0, *(p for p in places if p < len(whole)), len(whole)})
    parts = [whole[a:b] for a, b in pairwise(places)]
    assert texts(*parts) == ["Zażółć 👍🏽", " 漢字"]


def test_what_no_database_takes_is_replaced() -> None:
    raw = b'data: {"choices": [{"delta": {"content": "a\\u0000b\\ud800c"}, "finish_reason": "stop"}]}\n\n'
    assert texts(raw) == ["a\ufffdb\ufffdc"]


def test_a_server_that_cannot_stream_is_understood() -> None:
    choice = {"message": {"role": "assistant", "content": "Yo"}, "finish_reason": "stop"}
    found = Server(httpx.Response(200, json={"choices": [choice]})).ask()
    assert found == ["Yo", Ended("stop", None, 0)]


def test_a_server_that_dies_before_the_end_is_a_failure() -> None:
    with pytest.raises(ServerUnreachableError, match="broke off"):
        Server([chunk("a"), httpx.ReadError("reset")]).ask()


def test_a_stream_that_just_stops_is_a_failure() -> None:
    with pytest.raises(ServerUnreachableError, match="broke off"):
        Server([chunk("a"), chunk("b")]).ask()


def test_a_server_that_dies_after_the_end_is_none() -> None:
    assert texts(chunk("a", "stop"), httpx.ReadError("reset")) == ["a"]


def test_a_server_that_keeps_the_line_open_after_the_end_is_left() -> None:
    async def collect() -> float:
        clock = asyncio.get_running_loop().time
        began = clock()
        server = Server([chunk("a", "stop"), *[part for _ in range(99) for part in (1.0, b": hm\n\n")]])
        client = ChatStreamClient("http://server", "v1", transport=httpx.MockTransport(server.handle))
        found = [part async for part in client.stream(MESSAGES, temperature=1)]
        assert found[0] == "a"
        return clock() - began

    assert run_in_no_time(collect()) == pytest.approx(GOODBYE_SECONDS)


@pytest.mark.parametrize(
    "parts",
    [
        [chunk("a"), 11.0, chunk("b", "stop")],
        [chunk("a"), *[part for _ in range(8) for part in (2.0, b": still here\n\n")], chunk("b", "stop")],
        [chunk("a"), *[part for _ in range(8) for part in (2.0, chunk(""))], chunk("b", "stop")],
        [21.0, chunk("a", "stop")],
    ],
)
def test_no_new_text_for_too_long_is_a_stall(parts: list[Part]) -> None:
    with pytest.raises(ServerTimeoutError, match="stopped writing"):
        Server(parts).ask()


def test_a_slow_answer_that_goes_on_is_no_stall() -> None:
    assert texts(19.0, chunk("a"), 9.0, chunk("b"), 9.0, chunk("c", "stop")) == ["a", "b", "c"]


@pytest.mark.parametrize(
    "broken",
    [
        b'data: {"error": "SECRET"}\n\n',
        b'data: {"error": {"message": "SECRET", "code": 500}}\n\n',
        b"event: error\ndata: SECRET\n\n",
        b"data: SECRET\n\n",
        b"data: [1]\n\n",
        b'data: {"choices": [{"delta": {"content": 5}}]}\n\n',
        b'data: {"choices": [{"delta": "x"}]}\n\n',
        b'data: {"choices": "SECRET"}\n\n',
        b"data: \xff\n\n",
        b"data: " + b"[" * 100_000 + b"\n\n",
    ],
)
def test_what_is_no_completion_is_one_kind_of_error_and_not_repeated(broken: bytes) -> None:
    with pytest.raises(ServerAnswerError) as caught:
        Server([chunk("a"), broken.replace(b"SECRET", SECRET.encode())]).ask()
    assert "secret" not in str(caught.value)


def test_an_endless_answer_is_cut_off() -> None:
    with pytest.raises(ServerAnswerError, match="too large"):
        Server([b":" * (STREAM_LIMIT // 8)] * 9).ask()


@pytest.mark.parametrize("status", [307, 400, 401, 404, 422])
def test_a_refusal_is_not_repeated(status: int) -> None:
    server = Server(httpx.Response(status, text=SECRET, headers={"location": "http://metadata.internal/"}))
    with pytest.raises(ServerRefusedError, match=str(status)) as caught:
        server.ask()
    assert (len(server.requests), "secret" in str(caught.value)) == (1, False)


@pytest.mark.parametrize("trouble", [httpx.ConnectError(SECRET), httpx.Response(503, text=SECRET)])
def test_a_server_in_trouble_is_asked_again(trouble: httpx.Response | Exception) -> None:
    assert Server(trouble, trouble, [chunk("a", "stop")]).ask()[0] == "a"


@pytest.mark.parametrize("trouble", [httpx.ConnectError(SECRET), httpx.Response(503, text=SECRET)])
def test_a_server_that_stays_in_trouble_is_given_up(trouble: httpx.Response | Exception) -> None:
    server = Server(trouble, trouble, trouble)
    with pytest.raises(ServerError) as caught:
        server.ask()
    assert (len(server.requests), "secret" in str(caught.value)) == (3, False)


def test_whoever_leaves_closes_the_connection() -> None:
    server = Server([chunk("a"), 5.0, chunk("b", "stop")])

    async def leave() -> None:
        client = ChatStreamClient("http://server", "v1", transport=httpx.MockTransport(server.handle))
        found = client.stream(MESSAGES, temperature=1)
        assert await anext(found) == "a"
        await found.aclose()

    run_in_no_time(leave())
    assert server.bodies[0].closed
