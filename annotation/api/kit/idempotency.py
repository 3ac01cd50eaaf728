"""`Idempotency-Key`: a POST that names itself is done once, however often it is sent.

One transaction holds what was asked and the answer, so that a server killed in between has done neither or both.
Whoever sends the same at the same time waits for that transaction at the unique name, and gets the same answer.
"""

from __future__ import annotations

import hashlib
import inspect
import re
from collections.abc import Callable
from typing import Any, BinaryIO, Final, cast

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.deprecation import MiddlewareMixin

from annotation.api.auth import BELOW, token_of
from annotation.api.problems import InvalidRequestError, json_problem
from annotation.models import User
from annotation.services.idempotency import KeyReusedError, claim_request, forget_request, keep_answer

HEADER: Final = "Idempotency-Key"
REPLAYED: Final = "Idempotency-Replayed"
KEPT_HEADERS: Final = ("Content-Type", "Location", "Cache-Control", "Vary")
PIECE: Final = 64 * 1024
_KEY: Final = re.compile(r"[!-~]{1,128}")
View = Callable[..., HttpResponseBase]


class _Refused(Exception):  # noqa: N818  carries an answer out of a transaction that is to leave nothing
    def __init__(self, response: HttpResponseBase) -> None:
        self.response = response


class HashingStream:
    """A body that is hashed while somebody reads it, so that even a long one is never held in memory."""

    def __init__(self, stream: BinaryIO, start: bytes) -> None:
        self.stream, self.hash = stream, hashlib.sha256(start)

    def read(self, *sizes: int) -> bytes:
        return self._noted(self.stream.read(*sizes))

    def readline(self, *sizes: int) -> bytes:
        return self._noted(self.stream.readline(*sizes))

    def _noted(self, piece: bytes) -> bytes:
        self.hash.update(piece)
        return piece

    def digest(self) -> str:
        """Of the start and the whole body; what nobody has read of it is read now."""
        while self.read(PIECE):
            pass
        return self.hash.hexdigest()


def keep_instead(response: HttpResponse, body: str) -> None:
    """Have the answer stored, and given to whoever sends the request again, with this body: for one that shows a
    secret, which is shown once."""
    response.kept_body = body  # type: ignore[attr-defined]


class IdempotencyMiddleware(MiddlewareMixin):
    """After the middlewares that say who asks and that refuse forged forms."""

    def process_view(
        self, request: HttpRequest, view: View, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> HttpResponseBase | None:
        key = request.headers.get(HEADER)
        if key is None or request.method != "POST" or not request.path.startswith(BELOW):
            return None
        if inspect.iscoroutinefunction(view) or not isinstance(request.user, User):
            return None
        if not _KEY.fullmatch(key):
            reason = "1 to 128 visible characters of ASCII, best a UUID."
            problem = InvalidRequestError(
                f"{HEADER} is {reason}", errors=[{"field": HEADER, "reason": reason}]
            )
            return json_problem(problem)
        if getattr(getattr(view, "cls", None), "sees_to_repetitions", False):
            return None
        return _once(request, request.user, key, lambda: view(request, *args, **kwargs))


def _once(
    request: HttpRequest, user: User, key: str, act: Callable[[], HttpResponseBase]
) -> HttpResponseBase:
    body = HashingStream(request._stream, _start(request))
    request._stream = cast("BinaryIO", body)
    try:
        with transaction.atomic():
            row, is_new = claim_request(user=user, key=key)
            if is_new:
                return _done(act(), row.pk, body)
    except _Refused as refused:
        return refused.response
    if row.fingerprint != body.digest():
        return json_problem(KeyReusedError(key))
    return HttpResponse(row.body, status=row.status, headers={**row.headers, REPLAYED: "true"})


def _start(request: HttpRequest) -> bytes:
    """What has to be the same beside the body. The token too: another one may be allowed less."""
    token = token_of(request)
    parts = [request.method, request.get_full_path(), request.content_type, token.pk if token else None]
    return repr(parts).encode()


def _done(response: HttpResponseBase, pk: int, body: HashingStream) -> HttpResponseBase:
    render = getattr(response, "render", None)
    if callable(render):
        render()
    if response.status_code >= 400:
        raise _Refused(response)
    text = _text(response)
    if text is None:
        forget_request(pk=pk)  # a stream or a file: its view has to see to repetitions itself
        return response
    headers = {name: response[name] for name in KEPT_HEADERS if name in response}
    keep_answer(pk=pk, fingerprint=body.digest(), status=response.status_code, headers=headers, body=text)
    return response


def _text(response: HttpResponseBase) -> str | None:
    if not isinstance(response, HttpResponse):
        return None
    kept: str | None = getattr(response, "kept_body", None)
    if kept is not None:
        return kept
    try:
        return response.content.decode()
    except UnicodeDecodeError:
        return None
