"""One text for two clients: an endpoint is a generator that yields what it wants done, and a driver does it.

`Steps[T]` ends with a T, `Series[T]` gives any number of them. `SyncDriver` and `AsyncDriver` know how to send,
read, wait and work; nothing else in the package differs between `Margin` and `AsyncMargin`. The descriptors
`endpoint` and `feed` turn a generator function into a method whose type follows the client it belongs to.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from dataclasses import dataclass, field
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar, overload

import httpx

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Send:
    """A request whose answer is read whole."""

    request: httpx.Request


@dataclass(frozen=True, slots=True)
class Open:
    """A request whose answer is read piece by piece; an answer that is an error is there whole."""

    request: httpx.Request


@dataclass(eq=False, slots=True)
class Stream:
    """An open answer. Whoever drives closes it when the steps end, in whichever way."""

    response: httpx.Response
    pieces: Any = field(repr=False)


@dataclass(frozen=True, slots=True)
class Read:
    """The next piece; empty at the end."""

    stream: Stream


@dataclass(frozen=True, slots=True)
class Close:
    stream: Stream


@dataclass(frozen=True, slots=True)
class Sleep:
    seconds: float


@dataclass(frozen=True, slots=True)
class Work:
    """A function that takes its time, as hashing a large file does."""

    function: Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Item(Generic[T]):
    """Not a wish but a gift: for whoever iterates."""

    value: T


Wish = Send | Open | Read | Close | Sleep | Work
Steps = Generator[Wish, Any, T]
Series = Generator["Wish | Item[T]", Any, None]


def send(request: httpx.Request) -> Steps[httpx.Response]:
    response: httpx.Response = yield Send(request)
    return response


def open_stream(request: httpx.Request) -> Steps[Stream]:
    stream: Stream = yield Open(request)
    return stream


def read(stream: Stream) -> Steps[bytes]:
    piece: bytes = yield Read(stream)
    return piece


def close(stream: Stream) -> Steps[None]:
    yield Close(stream)


def sleep(seconds: float) -> Steps[None]:
    yield Sleep(seconds)


def work(function: Callable[[], T]) -> Steps[T]:
    done: T = yield Work(function)
    return done


class SyncDriver:
    """Does what steps wish, one thing after the other."""

    def __init__(self, http: httpx.Client) -> None:
        self.http = http

    def run(self, steps: Steps[T]) -> T:
        open_streams: set[Stream] = set()
        try:
            wish = next(steps)
            while True:
                wish = self._turn(steps, wish, open_streams)
        except StopIteration as end:
            value: T = end.value
            return value
        finally:
            self._close(open_streams)

    def each(self, series: Series[T]) -> Iterator[T]:
        open_streams: set[Stream] = set()
        try:
            wish = next(series)
            while True:
                if isinstance(wish, Item):
                    yield wish.value
                    wish = next(series)
                else:
                    wish = self._turn(series, wish, open_streams)
        except StopIteration:
            return
        finally:
            self._close(open_streams)

    def _turn(self, steps: Generator[Any, Any, Any], wish: Wish, open_streams: set[Stream]) -> Any:
        try:
            answer = self._do(wish, open_streams)
        except Exception as error:  # noqa: BLE001  it is the steps' to judge
            return steps.throw(error)
        return steps.send(answer)

    def _do(self, wish: Wish, open_streams: set[Stream]) -> Any:
        match wish:
            case Send(request):
                return self.http.send(request)
            case Open(request):
                response = self.http.send(request, stream=True)
                stream = Stream(response, response.iter_bytes())
                open_streams.add(stream)
                if response.is_error:
                    response.read()
                return stream
            case Read(stream):
                return next(stream.pieces, b"")
            case Close(stream):
                self._close({stream})
                open_streams.discard(stream)
            case Sleep(seconds):
                time.sleep(seconds)
            case Work(function):
                return function()
        return None

    def _close(self, streams: set[Stream]) -> None:
        for stream in streams:
            stream.response.close()


class AsyncDriver:
    """The same on an event loop; work goes to a thread."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http

    async def run(self, steps: Steps[T]) -> T:
        open_streams: set[Stream] = set()
        try:
            wish = next(steps)
            while True:
                answer, error = await self._do(wish, open_streams)
                wish = steps.throw(error) if error else steps.send(answer)
        except StopIteration as end:
            value: T = end.value
            return value
        finally:
            await self._close(open_streams)

    async def each(self, series: Series[T]) -> AsyncIterator[T]:
        open_streams: set[Stream] = set()
        try:
            wish = next(series)
            while True:
                if isinstance(wish, Item):
                    yield wish.value
                    wish = next(series)
                else:
                    answer, error = await self._do(wish, open_streams)
                    wish = series.throw(error) if error else series.send(answer)
        except StopIteration:
            return
        finally:
            await self._close(open_streams)

    async def _do(self, wish: Wish, open_streams: set[Stream]) -> tuple[Any, Exception | None]:
        try:
            return await self._answer(wish, open_streams), None
        except Exception as error:  # noqa: BLE001  it is the steps' to judge
            return None, error

    async def _answer(self, wish: Wish, open_streams: set[Stream]) -> Any:
        match wish:
            case Send(request):
                return await self.http.send(request)
            case Open(request):
                response = await self.http.send(request, stream=True)
                stream = Stream(response, response.aiter_bytes())
                open_streams.add(stream)
                if response.is_error:
                    await response.aread()
                return stream
            case Read(stream):
                return await anext(stream.pieces, b"")
            case Close(stream):
                await self._close({stream})
                open_streams.discard(stream)
            case Sleep(seconds):
                await asyncio.sleep(seconds)
            case Work(function):
                return await asyncio.to_thread(function)
        return None

    async def _close(self, streams: set[Stream]) -> None:
        for stream in streams:
            await stream.response.aclose()


class OfSync(Protocol):
    """What hangs on a `Margin`."""

    @property
    def driver(self) -> SyncDriver: ...


class OfAsync(Protocol):
    """What hangs on an `AsyncMargin`."""

    @property
    def driver(self) -> AsyncDriver: ...


def _driven(bound: Callable[P, Any], drive: Callable[[Any], Any]) -> Callable[P, Any]:
    @functools.wraps(bound)
    def method(*args: P.args, **kwargs: P.kwargs) -> Any:
        return drive(bound(*args, **kwargs))

    return method


class endpoint(Generic[P, T]):  # noqa: N801  reads as the decorator that it is
    """A method that asks once: it returns a T, or with `AsyncMargin` something to await for one."""

    def __init__(self, function: Callable[Concatenate[Any, P], Steps[T]]) -> None:
        self.function = function
        functools.update_wrapper(self, function)  # type: ignore[arg-type]

    @overload
    def __get__(self, resource: None, owner: type | None = None) -> endpoint[P, T]: ...
    @overload
    def __get__(self, resource: OfSync, owner: type | None = None) -> Callable[P, T]: ...
    @overload
    def __get__(self, resource: OfAsync, owner: type | None = None) -> Callable[P, Awaitable[T]]: ...
    def __get__(self, resource: Any, owner: type | None = None) -> Any:
        return self if resource is None else _driven(self.function.__get__(resource), resource.driver.run)


class feed(Generic[P, T]):  # noqa: N801  reads as the decorator that it is
    """A method that is iterated over, with `async for` where the client is an `AsyncMargin`."""

    def __init__(self, function: Callable[Concatenate[Any, P], Series[T]]) -> None:
        self.function = function
        functools.update_wrapper(self, function)  # type: ignore[arg-type]

    @overload
    def __get__(self, resource: None, owner: type | None = None) -> feed[P, T]: ...
    @overload
    def __get__(self, resource: OfSync, owner: type | None = None) -> Callable[P, Iterator[T]]: ...
    @overload
    def __get__(self, resource: OfAsync, owner: type | None = None) -> Callable[P, AsyncIterator[T]]: ...
    def __get__(self, resource: Any, owner: type | None = None) -> Any:
        return self if resource is None else _driven(self.function.__get__(resource), resource.driver.each)
