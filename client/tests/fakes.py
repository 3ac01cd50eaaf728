"""Servers made of a function: answers that are given one after the other, and a file that is cut on its way."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx

from margin_client import AsyncMargin, Margin

URL = "http://margin.test"
TOKEN = "margin_of-a-test"


class Cut(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body whose connection breaks after so many bytes."""

    def __init__(self, body: bytes, after: int, piece: int = 100) -> None:
        self.body = body[:after]
        self.whole = after >= len(body)
        self.piece = piece

    def __iter__(self) -> Iterator[bytes]:
        for start in range(0, len(self.body), self.piece):
            yield self.body[start : start + self.piece]
        if not self.whole:
            raise httpx.ReadError("cut")

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self:
            yield piece


class Answers:
    """A server that gives these answers in turn (an exception is raised), and keeps what it was asked."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


class FileServer:
    """One snapshot with one file, served as RFC 9110 says, each answer cut after `cut_after` bytes (None: whole)."""

    def __init__(
        self, content: bytes, *, cut_after: int | None = None, path: str = "data/train.jsonl"
    ) -> None:
        self.content = content
        self.cut_after = cut_after
        self.path = path
        self.etag = f'"{hashlib.sha256(content).hexdigest()}"'
        self.promised = hashlib.sha256(content).hexdigest()
        self.ranges: list[str | None] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/api/v1/snapshots/7":
            return httpx.Response(200, json=self.snapshot())
        assert request.url.path == f"/api/v1/snapshots/7/files/{self.path}", request.url.path
        asked = request.headers.get("Range")
        self.ranges.append(asked)
        start = 0
        if asked and request.headers.get("If-Range") == self.etag:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
        body = self.content[start:]
        size = len(self.content)
        headers = {"ETag": self.etag, "Content-Length": str(len(body))}
        if start:
            headers["Content-Range"] = f"bytes {start}-{size - 1}/{size}"
        stream = Cut(body, len(body) if self.cut_after is None else self.cut_after)
        return httpx.Response(206 if start else 200, headers=headers, stream=stream)

    def snapshot(self) -> dict[str, Any]:
        file = {
            "path": self.path,
            "format": "native",
            "split": "train",
            "bytes": len(self.content),
            "sha256": self.promised,
        }
        return {"id": 7, "name": "Week 1", "state": "ready", "sha256": self.promised, "files": [file]}


def margin(handler: Callable[[httpx.Request], httpx.Response], **options: Any) -> Margin:
    return Margin(URL, TOKEN, transport=httpx.MockTransport(handler), **options)


def async_margin(handler: Callable[[httpx.Request], httpx.Response], **options: Any) -> AsyncMargin:
    return AsyncMargin(URL, TOKEN, transport=httpx.MockTransport(handler), **options)


def problem(
    status: int, detail: str, *, headers: dict[str, str] | None = None, **more: Any
) -> httpx.Response:
    body = {"status": status, "detail": detail, "code": "some-code", "errors": [], **more}
    return httpx.Response(status, json=body, headers=headers)
