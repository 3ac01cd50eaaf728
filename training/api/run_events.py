"""What a run does, while it does it: server-sent events, under WSGI and ASGI.

Every event's id is its row's key. All that writes events of a run holds the run's row first, so they become visible in
the order of their keys, and nothing is missed by asking for what lies behind the last one. The drivers hold no
connection to the database while they wait; both do the same, in a thread of the request's own or on the server's loop.
"""

from __future__ import annotations

import asyncio
import json
import re
import threading
import time
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final
from uuid import UUID

import structlog
from asgiref.sync import sync_to_async
from django.conf import settings
from django.core.handlers.asgi import ASGIRequest
from django.core.serializers.json import DjangoJSONEncoder
from django.db import Error as DatabaseError
from django.db import connection
from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request

from annotation.api.kit.schema import PROBLEM, Problem, operation
from annotation.api.kit.views import ApiView
from annotation.api.problems import InvalidRequestError
from annotation.core.scopes import Scope
from training.access import run_for
from training.core.states import RUN_ENDED
from training.errors import TooManyStreamsError
from training.models import Run
from training.queries import events_after, run_again

log = structlog.get_logger(__name__)

MEDIA_TYPE: Final = "text/event-stream"
POLL: Final = 0.5  # seconds between two looks
SILENCE: Final = 10.0  # seconds after which a comment keeps proxies awake and finds out who has left
LONGEST: Final = 300.0  # seconds; the client comes back with the id of the last event
RETRY: Final = 2000  # milliseconds after which it does
AT_ONCE: Final = 500  # events of one look
ENDED: Final = "-end"  # behind the last key, in the id of the event that ends a stream
_ID: Final = re.compile(r"([0-9]{1,18})(-end)?")
_TYPE: Final = re.compile(r"[a-z_]{1,32}")


class Following:
    """One run being followed from the event `after` on. `told_end`: whoever follows knows that it ended there."""

    def __init__(self, run: Run, after: int, *, told_end: bool = False) -> None:
        self.run = run
        self.after = after
        self.told_end = told_end
        self.ended = False
        self._progress: dict[str, Any] = {}

    @property
    def nothing_more(self) -> bool:
        """It ended, and whoever follows was told so."""
        return self.told_end and self.run.state in RUN_ENDED and not events_after(self.run, self.after, 1)

    def look(self) -> bytes:
        """What is new since the last look, as lines; empty: nothing."""
        run = run_again(self.run)
        rows = events_after(run, self.after, AT_ONCE)
        told = [
            _event(
                {"at": row.at, "type": row.type, "data": row.data},
                name=row.type if _TYPE.fullmatch(row.type) else "message",
                number=str(row.pk),
            )
            for row in rows
        ]
        self.after = rows[-1].pk if rows else self.after
        progress = {
            name: getattr(run, name) for name in ("state", "stage", "done", "total", "unit", "percent")
        }
        if progress != self._progress:
            told.append(_event(progress, name="progress"))
            self._progress = progress
        # The state was read before the events: all that led to an end are among them.
        self.ended = run.state in RUN_ENDED and len(rows) < AT_ONCE
        if self.ended:
            last = {"state": run.state, "message": run.message}
            told.append(_event(last, name="end", number=f"{self.after}{ENDED}"))
        return b"".join(told)


def _event(data: Mapping[str, Any], *, name: str, number: str = "") -> bytes:
    # JSON has no line ends of its own, which would end the field.
    text = json.dumps(data, cls=DjangoJSONEncoder, ensure_ascii=False)
    return (f"id: {number}\n" if number else "").encode() + f"event: {name}\ndata: {text}\n\n".encode()


class _Pace:
    """When to say something though there is nothing, and when to end."""

    def __init__(self) -> None:
        self.began = self.said = time.monotonic()

    def words(self, news: bytes) -> bytes:
        now = time.monotonic()
        if news or now - self.said > SILENCE:
            self.said = now
            return news or b": \n\n"
        return b""

    @property
    def over(self) -> bool:
        return time.monotonic() - self.began > LONGEST


GREETING: Final = f"retry: {RETRY}\n\n".encode()


def stream(following: Following) -> Iterator[bytes]:
    """Under WSGI, in this thread."""
    pace = _Pace()
    with _place():
        yield GREETING
        while not (following.ended or pace.over):
            try:
                news = _looked(following)
            except DatabaseError:
                log.warning("a run can no longer be followed", run=following.run.pk, exc_info=True)
                return
            if words := pace.words(news):
                yield words
            if not following.ended:
                time.sleep(POLL)


async def stream_async(following: Following) -> AsyncGenerator[bytes, None]:
    """Under ASGI."""
    pace = _Pace()
    with _place():
        yield GREETING
        while not (following.ended or pace.over):
            try:
                news = await sync_to_async(_looked)(following)
            except DatabaseError:
                log.warning("a run can no longer be followed", run=following.run.pk, exc_info=True)
                return
            if words := pace.words(news):
                yield words
            if not following.ended:
                await asyncio.sleep(POLL)


def _looked(following: Following) -> bytes:
    try:
        return following.look()
    finally:
        if not connection.in_atomic_block:
            connection.close()  # the next look opens one


_lock = threading.Lock()
_following = 0


def _check_place() -> None:
    """Refuse while there is a status to refuse with.

    Raises:
        TooManyStreamsError: this process carries as many streams as it may; pages need the threads that are left.
    """
    if _following >= settings.RUN_STREAMS:
        raise TooManyStreamsError(
            f"This server follows {settings.RUN_STREAMS} runs already. Come back in a moment, or ask GET runs/{{uid}}."
        )


@contextmanager
def _place() -> Iterator[None]:
    """Taken once the stream begins: one that nobody reads holds none."""
    global _following  # noqa: PLW0603  a count of this process
    with _lock:
        _following += 1
    try:
        yield
    finally:
        with _lock:
            _following -= 1


class EventStream(BaseRenderer):
    """So that a client may say that it accepts events alone."""

    media_type = MEDIA_TYPE
    format = "events"

    def render(self, *args: Any, **kwargs: Any) -> bytes:
        raise NotImplementedError("a stream is never rendered")


class Events(ApiView):
    """What a run does, as server-sent events."""

    reads = Scope.MODELS_READ
    renderer_classes = [EventStream, JSONRenderer]
    http_method_names = ["get", "options"]

    @operation(
        "runs_events",
        parameters=[
            OpenApiParameter(
                "Last-Event-ID",
                str,
                OpenApiParameter.HEADER,
                description="Go on behind this event. Browsers send it by themselves.",
                pattern=r"^[0-9]{1,18}(-end)?$",
            )
        ],
        more={
            (200, MEDIA_TYPE): OpenApiResponse(OpenApiTypes.STR, "The events, until the run ends."),
            204: OpenApiResponse(None, "The run has ended, and you have its last event."),
            (503, PROBLEM): OpenApiResponse(Problem, "Too many streams; Retry-After says when to come back."),
        },
    )
    def get(self, request: Request, uid: UUID) -> HttpResponseBase:
        """Follow a run: the events so far, then each as it happens. The last one is end.

        Events are state, started, stage, metric, note, failed, errored, cancelled and finished, with {at, type, data};
        progress, with {state, stage, done, total, unit, percent}; end, with {state, message}. A stream that was cut is
        taken up with Last-Event-ID; the server ends one by itself after five minutes.
        """
        after, told_end = _last_seen(request)
        following = Following(run_for(self.person, uid), after, told_end=told_end)
        if following.nothing_more:
            return HttpResponse(status=204)  # browsers come back after anything else
        _check_place()
        parts = stream_async(following) if isinstance(request._request, ASGIRequest) else stream(following)
        response = StreamingHttpResponse(parts, content_type=MEDIA_TYPE)
        response["X-Accel-Buffering"] = "no"  # for a proxy that would gather lines
        return response


def _last_seen(request: Request) -> tuple[int, bool]:
    given = request.headers.get("Last-Event-ID", "")
    if not given:
        return 0, False
    found = _ID.fullmatch(given)
    if found is None:
        reason = "It is no id of this stream's events. Begin again without it."
        raise InvalidRequestError(
            "Last-Event-ID cannot be understood.", errors=[{"field": "Last-Event-ID", "reason": reason}]
        )
    return int(found[1]), bool(found[2])
