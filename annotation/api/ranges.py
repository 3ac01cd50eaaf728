"""Files of any size over HTTP: whole, from where a cut one ended, or not at all (RFC 9110 and RFC 9530).

Knows bytes, tags and hashes. Must not know whose file it is.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import get_conditional_response

from annotation.api.problems import json_problem
from annotation.errors import DomainError

BLOCK: Final = 256 * 1024
_ONE_RANGE: Final = re.compile(r"bytes=[ \t]*([0-9]{0,19})-([0-9]{0,19})[ \t]*", re.IGNORECASE)


class RangeError(DomainError):
    """A range that lies behind the end of the file."""

    code = "range-not-satisfiable"
    status = 416


@dataclass(frozen=True, slots=True)
class Download:
    """What is sent. `sha256` in hexadecimal is also its tag: the same bytes, the same tag."""

    size: int
    sha256: str
    media_type: str
    name: str


def chosen_range(header: str | None, size: int) -> tuple[int, int] | None:
    """First byte and the one after the last; None: the whole file, as for a header that cannot be read, or that asks
    for several ranges, which a server may leave unheeded.

    Raises:
        RangeError: there is no such range.
    """
    found = _ONE_RANGE.fullmatch(header) if header is not None else None
    if found is None or not any(found.groups()):
        return None
    first, last = (int(text) if text else None for text in found.groups())
    if first is None:
        length = min(last or 0, size)
        start, end = size - length, size
    else:
        if last is not None and last < first:
            return None
        start, end = first, size if last is None else min(last + 1, size)
    if start >= size or start >= end:
        raise RangeError(
            f"The file has {size} bytes, and the range begins behind them. Ask for it from its start."
        )
    return start, end


def answer(request: HttpRequest, download: Download, open_it: Callable[[], BinaryIO]) -> HttpResponseBase:
    """Answer GET and HEAD. `open_it` is called only where bytes are to be sent."""
    etag = f'"{download.sha256}"'
    early: HttpResponseBase | None = get_conditional_response(request, etag=etag)
    response = early if early is not None else _content(request, download, etag, open_it)
    response["ETag"] = etag
    response["Accept-Ranges"] = "bytes"
    return response


def _content(
    request: HttpRequest, download: Download, etag: str, open_it: Callable[[], BinaryIO]
) -> HttpResponseBase:
    try:
        part = _range_of(request, download.size, etag)
    except RangeError as error:
        refused = json_problem(error)
        refused["Content-Range"] = f"bytes */{download.size}"
        return refused
    start, end = part or (0, download.size)
    headless = request.method == "HEAD"
    response: HttpResponseBase = (
        HttpResponse() if headless else StreamingHttpResponse(_Part(open_it(), start, end))
    )
    digest = f"sha-256=:{base64.b64encode(bytes.fromhex(download.sha256)).decode()}:"
    response["Repr-Digest"] = digest
    if part is None:
        # Of what is sent, which is the whole: of a part nobody knows it beforehand.
        response["Content-Digest"] = digest
    else:
        response.status_code = 206
        response["Content-Range"] = f"bytes {start}-{end - 1}/{download.size}"
    response["Content-Length"] = str(end - start)
    response["Content-Type"] = download.media_type
    response["Content-Disposition"] = f'attachment; filename="{download.name}"'
    response["Content-Security-Policy"] = "sandbox; default-src 'none'"
    return response


def _range_of(request: HttpRequest, size: int, etag: str) -> tuple[int, int] | None:
    """Only of a GET, and only while the file is the one that the client has the beginning of."""
    if request.method != "GET" or request.headers.get("If-Range", etag) != etag:
        return None
    return chosen_range(request.headers.get("Range"), size)


class _Part:
    """The bytes from `start` to `end`; the file is closed with it."""

    def __init__(self, file: BinaryIO, start: int, end: int) -> None:
        self._file, self._left = file, end - start
        file.seek(start)

    def __iter__(self) -> Iterator[bytes]:
        while self._left and (block := self._file.read(min(BLOCK, self._left))):
            self._left -= len(block)
            yield block

    def close(self) -> None:
        self._file.close()
