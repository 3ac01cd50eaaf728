"""How two answers reach the page while they are written: lines of JSON over one response, under WSGI and ASGI.

`Telling.parts` speaks to the servers and touches no database; the drivers below it touch the database between
two parts, and hold no connection while they wait. Both drivers do the same: one in the request's own thread, on
an event loop of its own, the other on the server's loop.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import structlog
from asgiref.sync import sync_to_async
from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection

from annotation.api.items import item_of
from annotation.api.problems import problem_of
from annotation.errors import DomainError
from annotation.models import Comparison, User
from training.core.client import ServerError, ServerTimeoutError
from training.core.duet import Duet, Voice
from training.errors import LiveUnavailableError, ModelFailedError, ModelStalledError, StoppedError
from training.models.live import LOST
from training.services.live import Attempt, fail_attempt, finish_attempt, is_asking
from training.services.policies import key_for
from training.services.references import served_name
from training.services.sides import Answer, Side

log = structlog.get_logger(__name__)

LOOK: Final = 2.0  # seconds between two looks whether the answers are still wanted
SILENCE: Final = 5.0  # seconds after which an empty line keeps proxies awake and finds out who has left


class Look:
    """Stands between lines for: time to look into the database."""


class Telling:
    """One attempt being told."""

    def __init__(self, attempt: Attempt) -> None:
        self.attempt = attempt
        self.duet = Duet(
            messages=attempt.prompt.messages,
            voices=(_voice(attempt.sides[0]), _voice(attempt.sides[1])),
            stall=settings.LIVE_STALL,
            seconds=settings.LIVE_SECONDS,
        )

    async def parts(self) -> AsyncGenerator[bytes | Look, None]:
        """Lines as they may be shown.

        Raises:
            ModelStalledError, ModelFailedError: a side gave no answer.
        """
        clock = asyncio.get_running_loop().time
        yield _line({"left": "", "right": ""})  # at once: the page sees that it is being served
        said = looked = clock()
        lines = self.duet.lines()
        try:
            async for line in lines:
                if line is not None or clock() - said > SILENCE:
                    left, right = line or ("", "")
                    yield _line({"left": left, "right": right})
                    said = clock()
                if clock() - looked > LOOK:
                    yield Look()
                    looked = clock()
        except ServerError as error:
            self._log(error)
            if isinstance(error, ServerTimeoutError):
                raise ModelStalledError(
                    "No new words came for too long. Your prompt is kept: ask again."
                ) from None
            raise ModelFailedError(
                "The answers could not be finished. Your prompt is kept: ask again."
            ) from None
        finally:
            await lines.aclose()

    def _log(self, error: ServerError) -> None:
        side = self.duet.failed
        policy = self.attempt.sides[side].policy.name if side is not None else ""
        log.warning(
            "a live answer failed", prompt=str(self.attempt.prompt.uid), policy=policy, cause=str(error)
        )

    def look(self) -> None:
        if not is_asking(attempt=self.attempt):
            raise StoppedError("This attempt was stopped. Your prompt is kept.")

    def finish(self) -> bytes:
        one, other = (
            Answer(
                text="".join(texts),
                latency_ms=end.latency_ms if end else 0,
                tokens=end.tokens if end else None,
                finish_reason=(end.finish_reason if end else "")[:16],
            )
            for texts, end in zip(self.duet.texts, self.duet.ends, strict=True)
        )
        lease = finish_attempt(attempt=self.attempt, answers=(one, other))
        return item_line(lease.comparison, self.attempt.prompt.annotator)

    def fail(self, error: Exception) -> bytes:
        problem = problem_of(error)
        known = error if isinstance(error, DomainError) else ModelFailedError(problem.detail)
        fail_attempt(attempt=self.attempt, error=known)
        return _line({"problem": {"code": problem.code, "detail": problem.detail}})

    def leave(self) -> None:
        """The page went away."""
        fail_attempt(attempt=self.attempt, error=ModelFailedError(LOST))


def stream(telling: Telling) -> Iterator[bytes]:
    """Under WSGI: drives the parts on a loop of its own in this thread."""
    loop = asyncio.new_event_loop()
    parts = telling.parts()
    try:
        with _place():
            while (part := loop.run_until_complete(anext(parts, None))) is not None:
                _without_connection()
                if isinstance(part, Look):
                    telling.look()
                else:
                    yield part
            yield telling.finish()
    except GeneratorExit:
        telling.leave()
        raise
    except Exception as error:  # noqa: BLE001  problem_of logs what it does not know
        yield telling.fail(error)
    finally:
        loop.run_until_complete(parts.aclose())
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


async def stream_async(telling: Telling) -> AsyncGenerator[bytes, None]:
    """Under ASGI."""
    parts = telling.parts()
    try:
        with _place():
            async for part in parts:
                if isinstance(part, Look):
                    await _in_thread(telling.look)
                else:
                    yield part
            yield await _in_thread(telling.finish)
    except (GeneratorExit, asyncio.CancelledError):
        await asyncio.shield(_in_thread(telling.leave))
        raise
    except Exception as error:  # noqa: BLE001  problem_of logs what it does not know
        yield await _in_thread(telling.fail, error)
    finally:
        await parts.aclose()


async def _in_thread(do: Callable[..., Any], *arguments: Any) -> Any:
    def work() -> Any:
        try:
            return do(*arguments)
        finally:
            _without_connection()

    return await sync_to_async(work)()


def _without_connection() -> None:
    """Give the connection back while the answers are written; the next query opens one."""
    if not connection.in_atomic_block:
        connection.close()


_lock = threading.Lock()
_telling = 0


@contextmanager
def _place() -> Iterator[None]:
    """One of the streams that this process carries; pages need the threads that are left."""
    global _telling  # noqa: PLW0603  a count of this process
    with _lock:
        if _telling >= settings.LIVE_STREAMS:
            raise LiveUnavailableError(
                "Too many people are asking at this moment. Your prompt is kept: ask again soon."
            )
        _telling += 1
    try:
        yield
    finally:
        with _lock:
            _telling -= 1


def _voice(side: Side) -> Voice:
    return Voice(
        base_url=side.policy.endpoint,
        model=served_name(side.policy),
        api_key=key_for(side.policy.endpoint),
        temperature=side.temperature,
        top_p=side.top_p,
        max_tokens=side.max_tokens,
        seed=side.seed,
    )


def item_line(comparison: Comparison, annotator: User) -> bytes:
    lease = comparison.leases.filter(annotator=annotator).first()
    can_continue = comparison.dialogue.turns < comparison.batch.turn_limit
    item = item_of(comparison, annotator, lease.expires_at if lease else None)
    return _line({"item": item, "can_continue": can_continue})


def _line(value: dict[str, Any]) -> bytes:
    return json.dumps(value, cls=DjangoJSONEncoder, ensure_ascii=False).encode() + b"\n"
