"""A live response as it is made: OpenAI-compatible chat completions, streamed.

Knows the wire format of server-sent events and how servers vary in it. Must not know policies, people, pacing or
the database; torch-free. What may be tried again, what an error may say and what a seed promises stands in
training.core.client.

`stream_options` is never sent, because `transformers serve` refuses a request that holds it. Servers which
count tokens only when asked therefore do not say how many there were.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self, cast

import httpx

from annotation.core.records import Message
from training.core.client import (
    TRANSIENT,
    ServerAnswerError,
    ServerRefusedError,
    ServerTimeoutError,
    ServerUnreachableError,
    parse_completion,
    pause_after,
)

CONNECT_SECONDS: Final = 5.0
STALL_SECONDS: Final = 30.0
FIRST_ATTEMPTS: Final = 3  # somebody is waiting
GOODBYE_SECONDS: Final = 2.0  # for what may come after finish_reason: usage, [DONE]
STREAM_LIMIT: Final = 16 << 20  # bytes; a token's event has some 250
BROKEN_OFF: Final = "the response server broke off"


@dataclass(frozen=True, slots=True)
class Ended:
    """The regular end of a response. `tokens` is None where the server does not count for us."""

    finish_reason: str
    tokens: int | None
    latency_ms: int


class ChatStreamClient:
    """An asynchronous connection to one server and one of its models; see client.ChatClient for both names.

    `stall` is how many seconds may pass without new text. The first text may take `first`, twice as long unless
    said otherwise: a server may have others to answer before.
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        *,
        api_key: str | None = None,
        stall: float = STALL_SECONDS,
        first: float | None = None,
        attempts: int = FIRST_ATTEMPTS,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._model = model
        self._stall = stall
        self._first = 2 * stall if first is None else first
        self._attempts = attempts
        self._sleep = sleep
        self._http = httpx.AsyncClient(
            base_url=base_url.rstrip("/").removesuffix("/v1"),
            headers={"Authorization": f"Bearer {api_key}"} if api_key else None,
            # Reading has no limit of its own: a comment line now and then must not hide that no text comes.
            timeout=httpx.Timeout(None, connect=CONNECT_SECONDS),
            follow_redirects=False,
            trust_env=False,
            transport=transport,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._http.aclose()

    async def stream(
        self,
        messages: Sequence[Message],
        *,
        temperature: float,
        top_p: float = 1.0,
        max_tokens: int = 128,
        seed: int | None = None,
    ) -> AsyncGenerator[str | Ended, None]:
        """The pieces of text as they come, none of them empty, and `Ended` last.

        Raises:
            ServerError: see its subclasses. A connection that ends before the response has ended is one too.
        """
        body: dict[str, Any] = {
            "model": self._model,
            "messages": [{"role": m["role"], "content": m["content"]} for m in messages],
            "temperature": temperature,
            "top_p": top_p,
            "max_tokens": max_tokens,
            "stream": True,
        }
        if seed is not None:
            body["seed"] = seed
        began = asyncio.get_running_loop().time()
        reading = _Reading()
        async with self._opened(body, self._first) as response:
            if response.headers.get("content-type", "").startswith("application/json"):
                for text in reading.take_whole(await self._whole(response)):
                    yield text
            else:
                async with aclosing(self._texts(response, reading)) as texts:
                    async for text in texts:
                        yield text
        yield Ended(reading.finish_reason, reading.tokens, _since(began))

    @asynccontextmanager
    async def _opened(self, body: Mapping[str, Any], patience: float) -> AsyncIterator[httpx.Response]:
        """A response of status 200. A busy server, or one that is not there yet, is asked again."""
        request = self._http.build_request("POST", "/v1/chat/completions", json=body)
        for attempt in range(1, self._attempts + 1):
            last = attempt == self._attempts
            try:
                async with asyncio.timeout(patience):
                    response = await self._http.send(request, stream=True)
            except TimeoutError as error:
                raise ServerTimeoutError("the response server did not answer in time") from error
            except httpx.TransportError as error:
                if last:
                    raise ServerUnreachableError("the response server cannot be reached") from error
            else:
                if response.status_code == httpx.codes.OK:
                    try:
                        yield response
                    finally:
                        await response.aclose()
                    return
                await response.aclose()  # the body of an error is not even read
                if last or response.status_code not in TRANSIENT:
                    raise ServerRefusedError(response.status_code)
            await self._sleep(pause_after(attempt))

    async def _whole(self, response: httpx.Response) -> bytes:
        """The body of a server that knows no streaming and answers at once."""
        content, deadline = b"", asyncio.get_running_loop().time() + self._first
        async with aclosing(_chunks(response, lambda: deadline)) as chunks:
            async for chunk in chunks:
                content += chunk
        return content

    async def _texts(self, response: httpx.Response, reading: _Reading) -> AsyncGenerator[str, None]:
        """Text by text until the response has ended. A server may go silent or die at any point of it."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + self._first
        try:
            async with aclosing(_chunks(response, lambda: deadline)) as chunks:
                async for chunk in chunks:
                    open_before = not reading.finish_reason
                    for text in reading.take(chunk):
                        deadline = clock() + self._stall
                        yield text
                    if reading.done:
                        return
                    if open_before and reading.finish_reason:
                        deadline = clock() + GOODBYE_SECONDS
            for text in reading.take(b"\n"):  # a last line may lack its end
                yield text
        except (ServerTimeoutError, ServerUnreachableError):
            if not reading.finish_reason:
                raise
        if not (reading.done or reading.finish_reason):
            raise ServerUnreachableError(BROKEN_OFF)


def _since(began: float) -> int:
    """Milliseconds."""
    return round((asyncio.get_running_loop().time() - began) * 1000)


async def _chunks(response: httpx.Response, deadline: Callable[[], float]) -> AsyncGenerator[bytes, None]:
    """The body's bytes. `deadline` says until when, by the loop's clock, the next ones may take."""
    size = 0
    source = cast("AsyncGenerator[bytes, None]", response.aiter_bytes())
    async with aclosing(source):
        while True:
            try:
                async with asyncio.timeout_at(deadline()):
                    chunk = await anext(source, None)
            except TimeoutError as error:
                raise ServerTimeoutError("the response server stopped writing") from error
            except httpx.DecodingError as error:
                raise ServerAnswerError("the response server's answer cannot be decoded") from error
            except httpx.TransportError as error:
                raise ServerUnreachableError(BROKEN_OFF) from error
            if chunk is None:
                return
            size += len(chunk)
            if size > STREAM_LIMIT:
                raise ServerAnswerError("the response server's answer is too large")
            yield chunk


class _Reading:
    """What was made of the bytes so far. Each `data:` line is one event: no server breaks its JSON over two."""

    def __init__(self) -> None:
        self.finish_reason = ""
        self.tokens: int | None = None
        self.done = False
        self._rest = b""

    def take(self, chunk: bytes) -> list[str]:
        """The texts in `chunk`. Only whole lines are decoded, so that no character is cut in two."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        return [text for line in lines if (text := self._line(line))]

    def take_whole(self, content: bytes) -> list[str]:
        text, self.finish_reason = parse_completion(content)
        self.done = True
        return [_storable(text)] if text else []

    def _line(self, line: bytes) -> str:
        if self.done or not line.startswith(b"data:"):  # comments, event names, ids, empty lines
            return ""
        data = line.removeprefix(b"data:").strip()
        if data == b"[DONE]":
            self.done = True
            return ""
        return self._event(data) if data else ""

    def _event(self, data: bytes) -> str:
        try:
            event = json.loads(data)
            if event.get("error"):
                raise ServerAnswerError(BROKEN_OFF + " with an error")
            self._count(event.get("usage"))
            choice = (event.get("choices") or [{}])[0]
            self.finish_reason = str(choice.get("finish_reason") or self.finish_reason)
            text = (choice.get("delta") or {}).get("content") or ""
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ServerAnswerError(
                "the response server's answer is no stream of a chat completion"
            ) from error
        if not isinstance(text, str):
            raise ServerAnswerError("the response server's answer is no stream of a chat completion")
        return _storable(text)

    def _count(self, usage: Any) -> None:
        tokens = usage.get("completion_tokens") if isinstance(usage, dict) else None
        if isinstance(tokens, int) and 0 <= tokens < 2**31:
            self.tokens = tokens


def _storable(text: str) -> str:
    """Without what no database or UTF-8 takes: NUL, and halves of surrogate pairs that JSON can spell."""
    return text.replace("\0", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")
