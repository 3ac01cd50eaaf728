"""Requests and answers: addresses, headers, retries, pages and problems, for every resource alike.

A GET is repeated as it is. A POST carries a key of its own (Idempotency-Key), so that the server acts once however
often it arrives. Knows no resource.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any, Final, Generic, TypeVar
from urllib.parse import quote
from uuid import uuid4

import httpx

from margin_client.errors import ProblemError, UnreachableError, error_of
from margin_client.steps import (
    AsyncDriver,
    Item,
    Series,
    Steps,
    Stream,
    SyncDriver,
    open_stream,
    send,
    sleep,
)

PASSING: Final = frozenset({429, 502, 503, 504})  # statuses that may be another a moment later
FIRST_WAIT: Final = 0.5  # seconds; doubled each time
LONGEST_WAIT: Final = 8.0  # seconds between two attempts, unless the server names a time
PAGE: Final = 200  # rows asked for at once: as many as the server gives

D = TypeVar("D", bound=SyncDriver | AsyncDriver)
T = TypeVar("T")
Value = str | int | float | bool | datetime | Sequence[str] | Sequence[int] | None


@dataclass(frozen=True, slots=True)
class Wire:
    """Where the server is and how patient we are with it."""

    http: httpx.Client | httpx.AsyncClient
    retries: int
    patience: float  # seconds; a server that asks for a longer wait is an error

    def build(
        self,
        method: str,
        address: str,
        *,
        params: Mapping[str, Value] | None = None,
        body: Any = None,
        content: FileBody | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> httpx.Request:
        request = self.http.build_request(
            method,
            address,
            params=_query(params),
            json=body,
            headers=dict(headers or {}),
            timeout=self.http.timeout if timeout is None else timeout,
        )
        if content is None:
            return request
        request.headers["Content-Length"] = str(content.size)
        return httpx.Request(
            method, request.url, headers=request.headers, stream=content, extensions=request.extensions
        )

    def ask(self, method: str, address: str, **parts: Any) -> Steps[httpx.Response]:
        """The answer to one request, tried again while that may help.

        Raises:
            ProblemError: the server said no.
            UnreachableError: no answer came.
        """
        key = {"Idempotency-Key": str(uuid4())} if method == "POST" else {}
        headers = {**key, **parts.pop("headers", {})}
        for attempt in count():
            try:
                response = yield from send(self.build(method, address, headers=headers, **parts))
            except httpx.TransportError as error:
                yield from self.wait(attempt, error)
            else:
                if method == "DELETE" and attempt and response.status_code == 404:
                    return response  # an earlier attempt did it, and its answer was lost
                if response.is_success or response.status_code == 304:
                    return response
                yield from self.wait(attempt, error_of(response))
        raise AssertionError("wait ends this loop")

    def open(self, address: str, headers: Mapping[str, str]) -> Steps[Stream]:
        """One attempt at an answer that is read piece by piece; whoever reads it tries again.

        Raises:
            ProblemError, httpx.TransportError
        """
        request = self.build("GET", address, headers=headers)
        stream = yield from open_stream(request)
        if stream.response.is_error:
            raise error_of(stream.response)
        return stream

    def wait(self, attempt: int, error: Exception) -> Steps[None]:
        """Sleep before the next attempt, or raise the error where there shall be none.

        Raises:
            ProblemError, UnreachableError
        """
        asked = error.retry_after if isinstance(error, ProblemError) else None
        passing = isinstance(error, httpx.TransportError)
        if isinstance(error, ProblemError):
            passing = error.status in PASSING and (asked or 0) <= self.patience
        if not passing or attempt >= self.retries:
            if isinstance(error, httpx.TransportError):
                said = str(error) or type(error).__name__
                raise UnreachableError(f"{self.http.base_url} does not answer: {said}.") from error
            raise error
        longest = min(LONGEST_WAIT, FIRST_WAIT * 2**attempt)
        # Never earlier than asked, and not all clients at the same moment.
        yield from sleep((asked or 0) + random.uniform(longest / 2, longest))  # noqa: S311  no secret

    def page(
        self, address: str, make: Callable[[Mapping[str, Any]], T], params: Mapping[str, Value]
    ) -> Steps[tuple[list[T], str | None]]:
        """Rows of one page, and the cursor of the next."""
        response = yield from self.ask("GET", address, params={"page_size": PAGE, **params})
        page = response.json()
        following = httpx.URL(page["next"]).params.get("cursor") if page.get("next") else None
        return [make(row) for row in page["results"]], following

    def pages(
        self, address: str, make: Callable[[Mapping[str, Any]], T], params: Mapping[str, Value]
    ) -> Series[T]:
        """Every row of a collection, a page at a time, as they are asked for."""
        cursor: str | None = None
        while True:
            rows, cursor = yield from self.page(address, make, {**params, "cursor": cursor})
            for row in rows:
                yield Item(row)
            if cursor is None:
                return


class Resource(Generic[D]):
    """One collection of the API, for the client whose driver it has."""

    def __init__(self, wire: Wire, driver: D) -> None:
        self.wire = wire
        self.driver: D = driver


class FileBody(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A file as the body of a request, read anew for each attempt and never whole."""

    def __init__(self, path: Path, piece: int = 1 << 16) -> None:
        self.path = path
        self.piece = piece
        self.size = path.stat().st_size

    def __iter__(self) -> Iterator[bytes]:
        with self.path.open("rb") as file:
            while piece := file.read(self.piece):
                yield piece

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self:
            yield piece


def at(*parts: str | int) -> str:
    """An address below the API; names are quoted, so that none can lead elsewhere."""
    return "/".join(quote(str(part), safe="") for part in parts)


def given(**values: Any) -> dict[str, Any]:
    """What was given: None stands for not at all."""
    return {name: value for name, value in values.items() if value is not None}


def _query(params: Mapping[str, Value] | None) -> dict[str, str] | None:
    return None if params is None else {n: _text(v) for n, v in params.items() if v not in (None, (), [])}


def _text(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ",".join(map(str, value))
    return str(value)
