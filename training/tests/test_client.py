"""The chat client: what it sends, what it makes of answers, what it tries again, what it never repeats."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from annotation.core.records import Message
from rewardmodel.core.backbone import PolicyRef
from tests.house import free_port
from training.core.client import (
    ChatClient,
    Completion,
    ServerAnswerError,
    ServerError,
    ServerRefusedError,
    ServerTimeoutError,
    ServerUnreachableError,
)
from training.tests.serving import serve_policy

MESSAGES: list[Message] = [{"role": "user", "content": "Hi"}]
SECRET = "/srv/secret/prompt <script>"

Answer = httpx.Response | Exception


class Server:
    """Answers with what it is given, the last again and again, and remembers what it was asked."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []
        self.pauses: list[float] = []

    def handle(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer.status_code, content=answer.content, headers=answer.headers)

    def client(self, base_url: str = "http://server", **options: Any) -> ChatClient:
        transport = httpx.MockTransport(self.handle)
        return ChatClient(base_url, "v1", transport=transport, sleep=self.pauses.append, **options)

    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(request.content) for request in self.requests]


def _answer(text: str | None = "Yo", finish_reason: str = "stop") -> httpx.Response:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish_reason}
    return httpx.Response(200, json={"choices": [choice]})


def test_a_request_says_everything_and_nothing_a_server_may_not_know() -> None:
    server = Server(_answer())
    with server.client() as client:
        client.complete(MESSAGES, temperature=0.7, top_p=0.9, max_tokens=32, seed=5)
    assert server.bodies() == [
        {
            "model": "v1",
            "messages": [{"role": "user", "content": "Hi"}],
            "temperature": 0.7,
            "top_p": 0.9,
            "max_tokens": 32,
            "seed": 5,
        }
    ]


def test_an_answer_is_text_reason_and_time() -> None:
    (found,) = Server(_answer("Yo", "length")).client().complete(MESSAGES, temperature=1)
    assert (found.text, found.finish_reason) == ("Yo", "length")
    assert 0 <= found.latency_ms < 1000


def test_several_responses_are_several_requests_with_seeds_of_their_own() -> None:
    server = Server(_answer("a"), _answer("b"), _answer("c"))
    found = server.client().complete(MESSAGES, temperature=1, seed=10, n=3)
    assert [completion.text for completion in found] == ["a", "b", "c"]
    assert [body["seed"] for body in server.bodies()] == [10, 11, 12]


def test_without_a_seed_none_is_sent() -> None:
    server = Server(_answer())
    server.client().complete(MESSAGES, temperature=1)
    assert "seed" not in server.bodies()[0]


@pytest.mark.parametrize("base", ["http://server", "http://server/", "http://server/v1", "http://server/v1/"])
def test_the_address_may_end_with_v1_or_not(base: str) -> None:
    server = Server(_answer())
    server.client(base).complete(MESSAGES, temperature=1)
    assert str(server.requests[0].url) == "http://server/v1/chat/completions"


def test_an_address_below_a_path_stays_below_it() -> None:
    server = Server(_answer())
    server.client("http://server/models/a/v1").complete(MESSAGES, temperature=1)
    assert str(server.requests[0].url) == "http://server/models/a/v1/chat/completions"


def test_the_key_travels_in_the_header() -> None:
    server = Server(_answer())
    server.client(api_key="k").complete(MESSAGES, temperature=1)
    assert server.requests[0].headers["authorization"] == "Bearer k"


def test_an_empty_response_is_an_empty_text() -> None:
    assert Server(_answer(None)).client().complete(MESSAGES, temperature=1)[0].text == ""


@pytest.mark.parametrize(
    "trouble",
    [
        httpx.ConnectError("refused"),
        httpx.ConnectTimeout("lost"),
        httpx.ReadError("reset"),
        httpx.Response(500),
        httpx.Response(503),
    ],
)
def test_a_server_in_trouble_is_asked_again_after_growing_pauses(trouble: Answer) -> None:
    server = Server(trouble, trouble, _answer("at last"))
    assert server.client().complete(MESSAGES, temperature=1)[0].text == "at last"
    # 0.5 s and 1 s, each shortened to between a half and the whole.
    assert 0.25 <= server.pauses[0] <= 0.5 <= server.pauses[1] <= 1.0


def test_a_server_that_stays_broken_is_given_up() -> None:
    server = Server(httpx.Response(502, text=SECRET))
    with pytest.raises(ServerRefusedError, match=r"broke \(HTTP 502\)") as caught:
        server.client().complete(MESSAGES, temperature=1)
    assert (len(server.requests), len(server.pauses), caught.value.status) == (4, 3, 502)


def test_a_server_that_is_not_there_is_given_up() -> None:
    server = Server(httpx.ConnectError(SECRET))
    with pytest.raises(ServerUnreachableError, match="cannot be reached"):
        server.client(attempts=2).complete(MESSAGES, temperature=1)
    assert len(server.requests) == 2


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_a_refusal_is_not_repeated(status: int) -> None:
    server = Server(httpx.Response(status, text=SECRET))
    with pytest.raises(ServerRefusedError, match=str(status)):
        server.client().complete(MESSAGES, temperature=1)
    assert len(server.requests) == 1


def test_a_slow_server_is_not_asked_a_second_time() -> None:
    server = Server(httpx.ReadTimeout("slow"))
    with pytest.raises(ServerTimeoutError, match="in time"):
        server.client().complete(MESSAGES, temperature=1)
    assert len(server.requests) == 1


def test_a_redirect_is_not_followed() -> None:
    server = Server(httpx.Response(307, headers={"location": "http://metadata.internal/"}))
    with pytest.raises(ServerRefusedError, match="307"):
        server.client().complete(MESSAGES, temperature=1)
    assert [request.url.host for request in server.requests] == ["server"]


@pytest.mark.parametrize(
    "content",
    [
        SECRET.encode(),
        b"{}",
        b"[]",
        b'{"choices": []}',
        b'{"choices": [{"message": null, "finish_reason": "stop"}]}',
        b'{"choices": [{"message": {"content": 5}, "finish_reason": "stop"}]}',
        b'{"choices": [{"message": {"content": "a"}, "finish_reason": null}]}',
        b"\xff",
        b"[" * 100_000,
    ],
)
def test_an_answer_that_is_no_completion_is_one_kind_of_error(content: bytes) -> None:
    with pytest.raises(ServerAnswerError, match="no chat completion"):
        Server(httpx.Response(200, content=content)).client().complete(MESSAGES, temperature=1)


def test_an_endless_answer_is_cut_off() -> None:
    with pytest.raises(ServerAnswerError, match="too large"):
        Server(httpx.Response(200, content=b" " * (5 << 20))).client().complete(MESSAGES, temperature=1)


@pytest.mark.parametrize(
    "answer", [httpx.Response(500, text=SECRET), httpx.Response(400, text=SECRET), httpx.ConnectError(SECRET)]
)
def test_no_error_repeats_what_the_server_said(answer: Answer) -> None:
    with pytest.raises(ServerError) as caught:
        Server(answer).client().complete(MESSAGES, temperature=1)
    assert "secret" not in str(caught.value)


def test_a_real_refused_connection_is_unreachable() -> None:
    with (
        ChatClient(f"http://127.0.0.1:{free_port()}", "v1", attempts=1) as client,
        pytest.raises(ServerUnreachableError),
    ):
        client.complete(MESSAGES, temperature=1)


@pytest.fixture
def served(tiny: PolicyRef, tmp_path: Path) -> Iterator[str]:
    """A real `transformers serve` of the tiny policy; gives its address."""
    with serve_policy(tiny.path, tmp_path / "log.txt") as address:
        yield address


@pytest.mark.process
def test_temperature_seed_and_length_act_in_transformers_serve(served: str, tiny: PolicyRef) -> None:
    with ChatClient(served, str(tiny.path)) as client:

        def texts(complete: Callable[..., list[Completion]] = client.complete, **options: Any) -> list[str]:
            return [completion.text for completion in complete(MESSAGES, max_tokens=40, **options)]

        hot = texts(temperature=1.0, seed=1, n=6)
        assert texts(temperature=1.0, seed=1, n=6) == hot, "a seed fixes a response"
        assert len(set(hot)) == 6, "another seed is another response"
        assert len(set(texts(temperature=0.01, seed=1, n=4))) == 1, "cold responses do not depend on the seed"
        assert len(set(texts(temperature=0.0, n=2))) == 1

        (short,) = client.complete(MESSAGES, temperature=0.01, max_tokens=3)
        assert (len(short.text), short.finish_reason) == (3, "length")
        with pytest.raises(ServerRefusedError, match="400"):
            ChatClient(served, "another-model").complete(MESSAGES, temperature=1)
