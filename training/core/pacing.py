"""Two answers are shown at one speed, so that neither gives its model away (section 3.2.1 is blind).

Knows text and time. Must not know models, networks or people.

Three rules make the picture the same whichever side is the faster one:
- Text is cut into pieces that depend on the text alone, never on tokens or network packets.
- While both write, piece i of both is shown when both have it: the pace, and the wait for the first, are the
  slower side's.
- Once one has ended, the rest of the other comes at the mean interval of what was shown before, after a short
  breath in which a slower side gets a few pieces ahead. Otherwise a faster side's rest, long finished, would
  rush in, and a slower side's would stutter where a faster side's runs evenly.
"""

from __future__ import annotations

import asyncio
import unicodedata
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import suppress
from typing import Final

WIDTH: Final = 12  # of a piece in narrow characters
WIDE: Final = 3  # a CJK character says as much as some three others
BREATH: Final = 10  # pieces
FEW: Final = 8  # shown pieces of which a mean interval says something
SLOW: Final = 0.1  # seconds; the least interval where fewer were shown
RESOLUTION: Final = 1e-9  # seconds

Line = tuple[str, str]


class Cutter:
    """Cuts text into pieces as it comes: blanks and the word behind them, at most WIDTH wide."""

    def __init__(self) -> None:
        self._piece = ""
        self._width = 0
        self._in_word = False

    def feed(self, text: str) -> list[str]:
        """The pieces that are whole now, whatever follows."""
        whole: list[str] = []
        for character in text:
            width = WIDE if unicodedata.east_asian_width(character) in "WF" else 1
            blank = character.isspace()
            if self._piece and (self._width + width > WIDTH or (blank and self._in_word)):
                whole.append(self._cut())
            self._piece += character
            self._width += width
            self._in_word = self._in_word or not blank
        return whole

    def end(self) -> list[str]:
        return [self._cut()] if self._piece else []

    def _cut(self) -> str:
        piece, self._piece, self._width, self._in_word = self._piece, "", 0, False
        return piece


class Pacer:
    """What may be shown when. Pure: time is given, by any clock that only goes forward."""

    def __init__(self) -> None:
        self._cutters = (Cutter(), Cutter())
        self._waiting: tuple[deque[str], deque[str]] = (deque(), deque())
        self._ended = [False, False]
        self._shared: list[float] = []  # when the lines of both were shown
        self._alone: float | None = None  # when the newest line of one was

    def feed(self, side: int, text: str) -> None:
        self._waiting[side].extend(self._cutters[side].feed(text))

    def end(self, side: int) -> None:
        self._waiting[side].extend(self._cutters[side].end())
        self._ended[side] = True

    @property
    def done(self) -> bool:
        return all(self._ended) and not any(self._waiting)

    def due(self, now: float) -> float | None:
        """Seconds until the next line; 0: now; None: it waits for text."""
        if all(self._waiting):
            # The end of a text lets go of its last piece too early for the pace.
            wait = self._shared[-1] + self.interval - now if self._is_last and len(self._shared) > 1 else 0.0
        elif not self._has_rest():
            return None
        elif self._alone is not None:
            wait = self._alone + self.interval - now
        else:
            wait = self._shared[-1] + BREATH * self.interval - now if self._shared else 0.0
        return wait if wait > RESOLUTION else 0.0

    @property
    def _is_last(self) -> bool:
        """The next line of both holds the last piece of one."""
        return any(
            ended and len(waiting) == 1 for ended, waiting in zip(self._ended, self._waiting, strict=True)
        )

    def _has_rest(self) -> bool:
        """One side has ended and all of it was shown; the other has text."""
        one, other = self._waiting
        return bool((one and self._ended[1]) or (other and self._ended[0]))

    @property
    def interval(self) -> float:
        """Mean seconds between two lines of both."""
        lines = len(self._shared)
        mean = (self._shared[-1] - self._shared[0]) / (lines - 1) if lines > 1 else 0.0
        return mean if lines >= FEW else max(mean, SLOW)

    def show(self, now: float) -> Line:
        """The next line, which must be due."""
        if all(self._waiting):
            self._shared.append(now)
        else:
            self._alone = now
        one, other = (waiting.popleft() if waiting else "" for waiting in self._waiting)
        return one, other


async def paced(
    one: AsyncIterator[str], other: AsyncIterator[str], *, tick: float = 1.0
) -> AsyncGenerator[Line | None, None]:
    """Lines of both texts as they may be shown; None wherever `tick` seconds pass without one.

    The first failure of a side ends both and is raised as it is.
    """
    clock = asyncio.get_running_loop().time
    pacer, changed = Pacer(), asyncio.Event()
    readers = [
        asyncio.create_task(_read(pacer, side, source, changed)) for side, source in enumerate((one, other))
    ]
    try:
        while not pacer.done:
            changed.clear()
            _raise_failure(readers)
            wait = pacer.due(clock())
            if wait == 0:
                yield pacer.show(clock())
            elif not await _wait(changed, tick if wait is None else min(wait, tick)) and wait is None:
                yield None
    finally:
        for reader in readers:
            reader.cancel()
        await asyncio.gather(*readers, return_exceptions=True)


async def _read(pacer: Pacer, side: int, source: AsyncIterator[str], changed: asyncio.Event) -> None:
    try:
        async for text in source:
            pacer.feed(side, text)
            changed.set()
        pacer.end(side)
    finally:
        changed.set()


def _raise_failure(readers: list[asyncio.Task[None]]) -> None:
    for reader in readers:
        if reader.done() and (error := reader.exception()) is not None:
            raise error


async def _wait(changed: asyncio.Event, seconds: float) -> bool:
    """Whether something changed in time."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            return await changed.wait()
    return False
