"""Responses by a server: what is asked, how often, and what is said when it goes wrong."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from annotation.core.records import Message
from rewardmodel.core.backbone import PolicyRef
from rewardmodel.core.report import RunCancelledError, RunFailedError, Silent
from training.core.generate import Request
from training.core.server_generator import ATTEMPTS, KEYS, SAID, ServerGenerator, key_of, read_keys
from training.tests.chat_server import ChatServer, Script

Handler = Callable[[httpx.Request], httpx.Response]


def _ask(seed: int = 0, **more: Any) -> Request:
    message: Message = {"role": "user", "content": f"Why {seed}?"}
    return replace(Request((message,), 0.7, 1.0, seed, 16), **more)


def _answer(text: str = "So.", finish: str = "stop", tokens: int | None = 3) -> httpx.Response:
    body: dict[str, Any] = {"choices": [{"message": {"content": text}, "finish_reason": finish}]}
    if tokens is not None:
        body["usage"] = {"completion_tokens": tokens}
    return httpx.Response(200, json=body)


async def _no_pause(_seconds: float) -> None:
    pass


def _generator(tiny: PolicyRef, handler: Handler, at_once: int = 4, **more: Any) -> ServerGenerator:
    ref = replace(tiny, endpoint="http://llm.example:8000/v1", endpoint_model="tiny-chat")
    transport = httpx.MockTransport(handler)
    return ServerGenerator(ref, at_once=at_once, transport=transport, sleep=_no_pause, **more)


def test_what_a_request_says_is_passed_on_and_nothing_else(tiny: PolicyRef) -> None:
    sent: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return _answer()

    generator = _generator(tiny, handler, at_once=1)
    generator.generate([_ask(7, top_p=0.9, stop=("\n", "Ben:")), _ask(8)])
    assert str(sent[0].url) == "http://llm.example:8000/v1/chat/completions"
    assert json.loads(sent[0].content) == {
        "model": "tiny-chat",
        "messages": [{"role": "user", "content": "Why 7?"}],
        "temperature": 0.7,
        "max_tokens": 16,
        "seed": 7,
        "top_p": 0.9,
        "stop": ["\n", "Ben:"],
    }
    assert json.loads(sent[1].content).keys().isdisjoint({"top_p", "stop", "n", "stream"})


def test_answers_come_in_the_order_of_the_requests(tiny: PolicyRef) -> None:
    async def late_first(request: httpx.Request) -> httpx.Response:
        seed = json.loads(request.content)["seed"]
        await asyncio.sleep(0.03 if seed == 0 else 0)
        return _answer(f"answer {seed}", "length" if seed else "stop", tokens=seed)

    ref = replace(tiny, endpoint="http://llm.example")
    generator = ServerGenerator(ref, at_once=3, transport=httpx.MockTransport(late_first))
    samples = generator.generate([_ask(seed) for seed in range(3)])
    assert [(s.text, s.tokens, s.finish_reason) for s in samples] == [
        ("answer 0", 0, "stop"),
        ("answer 1", 1, "length"),
        ("answer 2", 2, "length"),
    ]


def test_no_more_requests_are_on_the_way_than_allowed(tiny: PolicyRef) -> None:
    under_way, most = 0, 0

    async def counting(_request: httpx.Request) -> httpx.Response:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.002)
        under_way -= 1
        return _answer()

    ref = replace(tiny, endpoint="http://llm.example")
    generator = ServerGenerator(ref, at_once=3, transport=httpx.MockTransport(counting))
    assert len(generator.generate([_ask(seed) for seed in range(12)])) == 12
    assert most == 3


def test_a_server_that_does_not_count_is_counted_for(tiny: PolicyRef) -> None:
    (sample,) = _generator(tiny, lambda _: _answer("Hello", tokens=None)).generate([_ask()])
    assert sample.tokens == 5  # a byte a token


def test_a_busy_server_is_asked_again(tiny: PolicyRef) -> None:
    answers = iter([httpx.Response(503), httpx.Response(429), _answer("At last.")])
    (sample,) = _generator(tiny, lambda _: next(answers)).generate([_ask()])
    assert sample.text == "At last."


def test_a_server_that_is_not_there_yet_is_asked_again(tiny: PolicyRef) -> None:
    tried = 0

    def handler(_request: httpx.Request) -> httpx.Response:
        nonlocal tried
        tried += 1
        if tried < ATTEMPTS:
            raise httpx.ConnectError("refused")
        return _answer()

    assert len(_generator(tiny, handler).generate([_ask()])) == 1


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (400, "refused the request (HTTP 400)"),
        (401, "wants another API key (HTTP 401)"),
        (404, "does not know the model or the address (HTTP 404)"),
        (429, "is busy; send it fewer requests at once (HTTP 429)"),
        (500, "broke (HTTP 500)"),
    ],
)
def test_a_refusal_names_server_model_status_and_what_was_said(
    tiny: PolicyRef, status: int, said: str
) -> None:
    generator = _generator(tiny, lambda _: httpx.Response(status, text="no such\nmodel \x1b[31m" + "x" * 999))
    with pytest.raises(RunFailedError) as failed:
        generator.generate([_ask()])
    message = str(failed.value)
    assert message.startswith(
        "The response server of tiny at http://llm.example:8000, asked for tiny-chat, " + said
    )
    assert "It said: 'no such model [31mxxx" in message
    assert len(message) < SAID + 250


def test_a_server_that_cannot_be_reached_is_named(tiny: PolicyRef) -> None:
    def handler(_request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("All connection attempts failed")

    with pytest.raises(RunFailedError, match=r"llm\.example:8000.*cannot be reached.*Is it running"):
        _generator(tiny, handler).generate([_ask()])


def test_a_server_that_never_answers_is_not_asked_again(tiny: PolicyRef) -> None:
    tried: list[int] = []

    def handler(_request: httpx.Request) -> httpx.Response:
        tried.append(1)
        raise httpx.ReadTimeout("")

    with pytest.raises(RunFailedError, match="did not answer within"):
        _generator(tiny, handler).generate([_ask()])
    assert len(tried) == 1


def test_something_that_is_no_completion_is_shown(tiny: PolicyRef) -> None:
    with pytest.raises(RunFailedError, match="sent no chat completion but '<html>'"):
        _generator(tiny, lambda _: httpx.Response(200, text="<html>")).generate([_ask()])


def test_a_redirect_is_not_followed(tiny: PolicyRef) -> None:
    with pytest.raises(RunFailedError, match="HTTP 307"):
        _generator(tiny, lambda _: httpx.Response(307, headers={"location": "http://elsewhere"})).generate(
            [_ask()]
        )


def test_the_text_is_what_a_database_takes(tiny: PolicyRef) -> None:
    body = {"choices": [{"message": {"content": "a\0b\ud800c"}, "finish_reason": "stop"}]}
    answer = httpx.Response(200, content=json.dumps(body))
    (sample,) = _generator(tiny, lambda _: answer).generate([_ask()])
    assert sample.text == "ab\ufffdc"


def test_the_key_goes_to_its_server_alone(tiny: PolicyRef) -> None:
    seen: list[str | None] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers.get("authorization"))
        return _answer()

    _generator(tiny, handler, keys={"llm.example:8000": "rosas-key"}).generate([_ask()])
    _generator(tiny, handler, keys={"other.example": "rosas-key"}).generate([_ask()])
    assert seen == ["Bearer rosas-key", None]
    assert key_of("http://LLM.example:8000", {"llm.example": "of the host"}) == "of the host"


def test_keys_come_from_a_file_that_others_cannot_read(tmp_path: Path) -> None:
    assert read_keys(tmp_path) == {}
    path = tmp_path / KEYS
    path.write_text('{"LLM.example": "rosas-key"}')
    path.chmod(0o600)
    assert read_keys(tmp_path) == {"llm.example": "rosas-key"}
    path.chmod(0o644)
    with pytest.raises(RunFailedError, match="chmod 600"):
        read_keys(tmp_path)


def test_a_policy_without_a_server_says_what_to_do(tiny: PolicyRef) -> None:
    with pytest.raises(RunFailedError, match=r"no response server.*or choose backend local"):
        ServerGenerator(tiny, at_once=1)


def test_a_cancelled_run_leaves_the_requests_on_the_way(tiny: PolicyRef) -> None:
    class Impatient(Silent):
        def check(self) -> None:
            raise RunCancelledError

    async def never(_request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(60)
        return _answer()

    ref = replace(tiny, endpoint="http://llm.example")
    with pytest.raises(RunCancelledError):
        ServerGenerator(ref, at_once=2, transport=httpx.MockTransport(never)).generate(
            [_ask(), _ask(1)], Impatient()
        )


def test_every_request_is_in_one_chunk(tiny: PolicyRef) -> None:
    plan = _generator(tiny, lambda _: _answer(), at_once=2).plan([_ask(n) for n in range(70)])
    assert [len(chunk) for chunk in plan] == [32, 32, 6]
    assert [index for chunk in plan for index in chunk] == list(range(70))


def test_a_real_connection_answers_and_progress_is_told(tiny: PolicyRef) -> None:
    told: list[tuple[int, int, str]] = []

    class Listening(Silent):
        def progress(self, done: int, total: int, unit: str) -> None:
            told.append((done, total, unit))

    with ChatServer(scripts={"": Script(words="One answer.")}) as server:
        generator = ServerGenerator(replace(tiny, endpoint=server.address), at_once=2)
        samples = generator.generate([_ask(seed) for seed in range(3)], Listening())
    assert [(s.text, s.tokens, s.finish_reason) for s in samples] == [("One answer.", 11, "length")] * 3
    assert told[-1] == (3, 3, "responses")
    assert {body["model"] for body in server.requests} == {str(tiny.path)}
