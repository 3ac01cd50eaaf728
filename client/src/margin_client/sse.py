"""Server-sent events (WHATWG HTML, 9.2): bytes in, events out, and the way back after a cut.

Knows the format and Last-Event-ID. Must not know what the events say.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, TypeVar

import httpx

from margin_client.errors import ProblemError
from margin_client.steps import Item, Series, close, read, sleep
from margin_client.wire import Wire

T = TypeVar("T")

PAUSE: Final = 2.0  # seconds before a stream that ended without a reason is opened anew
LINE_END: Final = re.compile(r"\r\n|\n|\r")


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """One event; `id` is the newest id that was sent, `type` is `message` where none was named."""

    type: str
    data: str
    id: str


@dataclass(slots=True)
class Parser:
    """Takes bytes as they come, cut anywhere."""

    last_id: str = ""
    _decoder: codecs.IncrementalDecoder = field(
        default_factory=lambda: codecs.getincrementaldecoder("utf-8-sig")("replace")
    )
    _rest: str = ""
    _type: str = ""
    _data: list[str] = field(default_factory=list)

    def feed(self, piece: bytes) -> Iterator[ServerEvent]:
        text = self._rest + self._decoder.decode(piece)
        # A carriage return at the very end may be half of a line end.
        held = "\r" if text.endswith("\r") else ""
        *lines, self._rest = LINE_END.split(text.removesuffix(held) if held else text)
        self._rest += held
        for line in lines:
            if line:
                self._take(line)
            elif (event := self._event()) is not None:
                yield event

    def _take(self, line: str) -> None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "event":
                self._type = value
            case "data":
                self._data.append(value)
            case "id" if "\0" not in value:
                self.last_id = value
            case _:  # a comment, `retry`, or something newer
                pass

    def _event(self) -> ServerEvent | None:
        kind, data = self._type or "message", self._data
        self._type, self._data = "", []
        return ServerEvent(kind, "\n".join(data), self.last_id) if data else None


def listen(wire: Wire, address: str, make: Callable[[ServerEvent], T], *, after: str, last: str) -> Series[T]:
    """Events behind the one with the id `after`, up to the first of the type `last`.

    What is cut is taken up where it ended, and so is an answer that ends before `last`, unless it says that there is
    nothing more (204).

    Raises:
        ProblemError, UnreachableError
    """
    failures = 0
    while True:
        headers = {"Accept": "text/event-stream", **({"Last-Event-ID": after} if after else {})}
        parser = Parser(last_id=after)
        try:
            stream = yield from wire.open(address, headers)
            if stream.response.status_code == 204:
                return
            while piece := (yield from read(stream)):
                failures = 0
                for event in parser.feed(piece):
                    after = event.id
                    yield Item(make(event))
                    if event.type == last:
                        return
            yield from close(stream)
            yield from sleep(PAUSE)
        except (httpx.TransportError, ProblemError) as error:
            yield from wire.wait(failures, error)
            failures += 1
