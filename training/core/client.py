"""The one client for live responses: any server that speaks OpenAI's chat completions.

Knows the wire format and what may be tried again. Must not know policies, people or the database; torch-free.

What holds of `transformers serve`, the embedded default (release 5.23): temperature, top_p, max_tokens and
seed act; `n` is ignored without an error, hence one request a response here. A seed fixes a response only
while no other request overlaps, as the server seeds one generator for all of them: a seed stored with a live
response is provenance, and a promise only where requests came one by one.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

import httpx

from annotation.core.records import Message

ATTEMPTS: Final = 4
FIRST_PAUSE: Final = 0.5  # seconds; doubles with each attempt
LONGEST_PAUSE: Final = 8.0
TRANSIENT: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
ANSWER_LIMIT: Final = 4 << 20  # bytes; a chat response of 8,192 tokens has some 100 kB


class ServerError(Exception):
    """The response server gave no response. The message names the cause and never repeats what was sent back:
    a body may hold prompts, paths or markup."""


class ServerUnreachableError(ServerError):
    """No connection: refused, unknown host, broken off."""


class ServerTimeoutError(ServerError):
    """Connected, but no complete answer in time."""


class ServerRefusedError(ServerError):
    """HTTP 4xx, or 5xx after all attempts. `status` is the code."""

    def __init__(self, status: int) -> None:
        super().__init__(_meaning(status))
        self.status = status


class ServerAnswerError(ServerError):
    """HTTP 200 with something that is no chat completion."""


@dataclass(frozen=True, slots=True)
class Completion:
    """One response. `finish_reason` is the server's: "stop", or "length" where max_tokens cut it off."""

    text: str
    finish_reason: str
    latency_ms: int


class ChatClient:
    """A connection to one server and one of its models. Use as a context manager, or close it.

    `base_url` is the server's root with or without `/v1`; `model` is the name the server knows: for
    `transformers serve` the directory's path. Redirects are not followed: they could lead anywhere.
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        *,
        api_key: str | None = None,
        timeout: float = 120.0,
        attempts: int = ATTEMPTS,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._model = model
        self._attempts = attempts
        self._sleep = sleep
        self._http = httpx.Client(
            base_url=base_url.rstrip("/").removesuffix("/v1"),
            headers={"Authorization": f"Bearer {api_key}"} if api_key else None,
            timeout=httpx.Timeout(timeout, connect=min(timeout, 5.0)),
            follow_redirects=False,
            trust_env=False,
            transport=transport,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def complete(
        self,
        messages: Sequence[Message],
        *,
        temperature: float,
        top_p: float = 1.0,
        max_tokens: int = 128,
        seed: int | None = None,
        n: int = 1,
    ) -> list[Completion]:
        """`n` responses to the same messages, one after the other; response i is drawn with `seed + i`.

        Raises:
            ServerError: see its subclasses. Refusals (4xx) are not tried again; a busy or broken server is.
        """
        body: dict[str, Any] = {
            "model": self._model,
            "messages": [{"role": m["role"], "content": m["content"]} for m in messages],
            "temperature": temperature,
            "top_p": top_p,
            "max_tokens": max_tokens,
        }
        seeds = [None if seed is None else seed + number for number in range(n)]
        return [self._one(body if value is None else {**body, "seed": value}) for value in seeds]

    def _one(self, body: Mapping[str, Any]) -> Completion:
        content, seconds = self._post(body)
        text, finish_reason = parse_completion(content)
        return Completion(text, finish_reason, round(seconds * 1000))

    def _post(self, body: Mapping[str, Any]) -> tuple[bytes, float]:
        """The body of the answer, and the seconds of the attempt that brought it."""
        for attempt in range(1, self._attempts + 1):
            last, began = attempt == self._attempts, time.monotonic()
            try:
                status, content = self._send(body)
            except (httpx.ReadTimeout, httpx.WriteTimeout) as error:
                # Not again: the server may still be at work on the first one.
                raise ServerTimeoutError("the response server did not answer in time") from error
            except httpx.TransportError as error:
                if last:
                    raise ServerUnreachableError("the response server cannot be reached") from error
            except httpx.DecodingError as error:
                raise ServerAnswerError("the response server's answer cannot be decoded") from error
            else:
                if status == httpx.codes.OK:
                    return content, time.monotonic() - began
                if last or status not in TRANSIENT:
                    raise ServerRefusedError(status)
            self._sleep(pause_after(attempt))
        raise ValueError("attempts must be at least 1")

    def _send(self, body: Mapping[str, Any]) -> tuple[int, bytes]:
        """Status and body of one request; the body of an error is not even read."""
        with self._http.stream("POST", "/v1/chat/completions", json=body) as response:
            if response.status_code != httpx.codes.OK:
                return response.status_code, b""
            content = b""
            for chunk in response.iter_bytes():
                content += chunk
                if len(content) > ANSWER_LIMIT:
                    raise ServerAnswerError("the response server's answer is too large")
            return response.status_code, content


def pause_after(attempt: int) -> float:
    """Seconds until the next attempt: doubling, and uneven so that many clients do not return together."""
    full: float = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (attempt - 1))
    return full * (0.5 + 0.5 * random.random())  # noqa: S311 - spreads load, guards nothing


def parse_completion(content: bytes) -> tuple[str, str]:
    """Text and finish reason of a whole answer.

    Raises:
        ServerAnswerError: it is none.
    """
    try:
        choice = json.loads(content)["choices"][0]
        text, finish_reason = choice["message"]["content"], choice["finish_reason"]
    except (ValueError, KeyError, IndexError, TypeError, RecursionError) as error:
        raise ServerAnswerError("the response server's answer is no chat completion") from error
    if text is None:  # how an empty response is told by servers that know tool calls
        text = ""
    if not isinstance(text, str) or not isinstance(finish_reason, str):
        raise ServerAnswerError("the response server's answer is no chat completion")
    return text, finish_reason


def _meaning(status: int) -> str:
    meanings = {
        401: "the response server wants another API key",
        403: "the response server wants another API key",
        404: "the response server does not know the model or the address",
        429: "the response server is busy",
    }
    if status in meanings:
        return f"{meanings[status]} (HTTP {status})"
    side = "broke" if status >= 500 else "refused the request"
    return f"the response server {side} (HTTP {status})"
