"""Responses by any server that speaks OpenAI's chat completions: vLLM, TGI, llama.cpp, Ollama, transformers serve.

Knows the wire format, how many requests go at once, what is worth another attempt and how to say what went wrong. Must
not know what the responses are for. What a seed promises with each server stands in docs/generation.md.

Unlike a live answer's client this one tells what the server said: the reader is the researcher who runs both.
"""

from __future__ import annotations

import asyncio
import json
import stat
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from rewardmodel.core.backbone import PolicyRef, load_tokenizer
from rewardmodel.core.report import Reporter, RunFailedError
from training.core.client import ANSWER_LIMIT, TRANSIENT, ServerAnswerError, parse_completion, pause_after
from training.core.decoding import FinishReason
from training.core.generate import SILENT, Pace, Request, Sample

KEYS: Final = "server-keys.json"  # in the run's folder, readable by its owner alone
REQUESTS_A_CHUNK: Final = 16  # times how many go at once: what a kill may cost
ATTEMPTS: Final = 6  # with the pauses between them a quarter of a minute
SECONDS: Final = 600.0  # for one response; a busy server keeps it waiting
CONNECT_SECONDS: Final = 10.0
CHECK_SECONDS: Final = 0.2
SAID: Final = 300  # characters of what a server said


def read_keys(folder: Path) -> dict[str, str]:
    """API keys by host, or host and port, from the run's folder; none where there is no such file.

    Raises:
        RunFailedError: others may read the file, or it holds something else.
    """
    path = folder / KEYS
    if not path.exists():
        return {}
    if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise RunFailedError(f"{KEYS} may be read by others. Say chmod 600 {KEYS} in the run's folder.")
    try:
        keys = json.loads(path.read_text())
        return {str(host).lower(): str(key) for host, key in keys.items()}
    except (ValueError, AttributeError) as error:
        raise RunFailedError(f'{KEYS} must hold one object, as {{"host:port": "key"}}') from error


class ServerGenerator:
    """A policy behind its response server. `keys` holds API keys by host, or host and port.

    Raises:
        RunFailedError: the policy has no response server.
    """

    def __init__(
        self,
        ref: PolicyRef,
        *,
        at_once: int,
        keys: Mapping[str, str] | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        if not ref.endpoint:
            raise RunFailedError(
                f"{ref.name} has no response server, which backend server needs. Enter the address of one on the "
                "policy's page, or choose backend local."
            )
        self._ref = ref
        self._url = ref.endpoint.rstrip("/").removesuffix("/v1")
        self._model = ref.endpoint_model or str(ref.path)
        self._at_once = at_once
        self._key = key_of(self._url, keys or {})
        self._transport = transport
        self._sleep = sleep
        self._pace = Pace()
        self._count: Callable[[str], int] | None = None

    def plan(self, requests: Sequence[Request]) -> list[list[int]]:
        size = REQUESTS_A_CHUNK * self._at_once
        return [list(range(at, min(at + size, len(requests)))) for at in range(0, len(requests), size)]

    def generate(self, requests: Sequence[Request], reporter: Reporter = SILENT) -> list[Sample]:
        """One sample a request, `at_once` on the way at a time; a cancelled run leaves those and ends.

        Raises:
            RunFailedError: the server gave no response; says which server, which status and what it said.
        """
        return asyncio.run(self._all(requests, reporter))

    def close(self) -> None:
        """Nothing is held between two chunks."""

    async def _all(self, requests: Sequence[Request], reporter: Reporter) -> list[Sample]:
        self._pace.begin()
        limit = asyncio.Semaphore(self._at_once)
        async with self._client() as http:

            async def one(request: Request) -> Sample:
                async with limit:
                    return await self._ask(http, request)

            tasks = [asyncio.create_task(one(request)) for request in requests]
            try:
                await self._follow(tasks, reporter)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        self._pace.tell(reporter)
        return [task.result() for task in tasks]

    async def _follow(self, tasks: Sequence[asyncio.Task[Sample]], reporter: Reporter) -> None:
        """Until all are done, the first has failed, or somebody asks to stop."""
        pending = set(tasks)
        while pending:
            done, pending = await asyncio.wait(
                pending, timeout=CHECK_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                self._pace.drew(task.result().tokens, reporter)
            reporter.progress(len(tasks) - len(pending), len(tasks), "responses")
            reporter.check()

    def _client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            base_url=self._url,
            headers={"Authorization": f"Bearer {self._key}"} if self._key else None,
            timeout=httpx.Timeout(SECONDS, connect=CONNECT_SECONDS, pool=None),
            limits=httpx.Limits(max_connections=self._at_once),
            follow_redirects=False,  # they could lead anywhere
            trust_env=False,
            transport=self._transport,
        )

    async def _ask(self, http: httpx.AsyncClient, request: Request) -> Sample:
        began = time.perf_counter()
        content = await self._post(http, _body(self._model, request))
        try:
            text, ended = parse_completion(content)
        except ServerAnswerError as error:
            raise self._failed(f"sent no chat completion but {_quoted(content)}") from error
        reason: FinishReason = "length" if ended == "length" else "stop"
        text = storable(text)
        return Sample(text, self._tokens(content, text), reason, time.perf_counter() - began)

    async def _post(self, http: httpx.AsyncClient, body: Mapping[str, Any]) -> bytes:
        for attempt in range(1, ATTEMPTS + 1):
            last = attempt == ATTEMPTS
            try:
                status, content = await _send(http, body)
            except (httpx.ReadTimeout, httpx.WriteTimeout) as error:
                raise self._failed(
                    f"did not answer within {SECONDS:.0f} s. Send it fewer requests at once (at_once is "
                    f"{self._at_once}) or ask for shorter responses"
                ) from error
            except httpx.TransportError as error:
                if last:
                    why = str(error) or type(error).__name__
                    raise self._failed(f"cannot be reached ({why}). Is it running?") from error
            except (httpx.DecodingError, ServerAnswerError) as error:
                raise self._failed("sent an answer that is too large or cannot be decoded") from error
            else:
                if status == httpx.codes.OK:
                    return content
                if last or status not in TRANSIENT:
                    raise self._failed(_refusal(status, content))
            await self._sleep(pause_after(attempt))
        raise ValueError("attempts must be at least 1")

    def _failed(self, what: str) -> RunFailedError:
        return RunFailedError(
            f"The response server of {self._ref.name} at {self._url}, asked for {self._model}, {what}."
        )

    def _tokens(self, content: bytes, text: str) -> int:
        """As the server counts them, without the end of the turn; a server that does not is replaced."""
        usage = json.loads(content).get("usage")
        counted = usage.get("completion_tokens") if isinstance(usage, dict) else None
        if isinstance(counted, int) and 0 <= counted < 2**31:
            return counted
        if self._count is None:
            tokenizer = load_tokenizer(self._ref)
            self._count = lambda said: len(tokenizer(said, add_special_tokens=False)["input_ids"])
        return self._count(text)


def key_of(url: str, keys: Mapping[str, str]) -> str | None:
    """The key of a server, by its host and port or by its host alone."""
    parts = urlsplit(url)
    return keys.get(parts.netloc.lower()) or keys.get((parts.hostname or "").lower())


def storable(text: str) -> str:
    """Without what no database or UTF-8 takes: NUL, and halves of surrogate pairs that JSON can spell."""
    return text.replace("\0", "").encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _body(model: str, request: Request) -> dict[str, Any]:
    """Nothing that the request leaves open is sent: servers differ in which values they take."""
    body: dict[str, Any] = {
        "model": model,
        "messages": [{"role": m["role"], "content": m["content"]} for m in request.messages],
        "temperature": request.temperature,
        "max_tokens": request.max_new_tokens,
        "seed": request.seed,
    }
    if request.top_p < 1:
        body["top_p"] = request.top_p
    if request.stop:
        body["stop"] = list(request.stop)
    return body


async def _send(http: httpx.AsyncClient, body: Mapping[str, Any]) -> tuple[int, bytes]:
    """Status and body of one request.

    Raises:
        ServerAnswerError: the body is too large.
    """
    async with http.stream("POST", "/v1/chat/completions", json=dict(body)) as response:
        content = b""
        async for chunk in response.aiter_bytes():
            content += chunk
            if len(content) > ANSWER_LIMIT:
                raise ServerAnswerError("the response server's answer is too large")
        return response.status_code, content


def _refusal(status: int, content: bytes) -> str:
    what = {
        401: "wants another API key",
        403: "wants another API key",
        404: "does not know the model or the address",
        429: "is busy; send it fewer requests at once",
    }.get(status, "broke" if status >= 500 else "refused the request")
    return f"{what} (HTTP {status}). It said: {_quoted(content)}"


def _quoted(content: bytes) -> str:
    """The beginning of what a server sent, on one line."""
    said = " ".join(content.decode(errors="replace").split())
    shown = "".join(c for c in said if c.isprintable())
    return f"{shown[:SAID]!r}" if shown else "nothing"
