"""Two models answer one dialogue at once, and both answers are told at one speed.

Knows servers and pacing. Must not know policies' names, people or the database. `lines` raises what a side
raised and never says which; `failed` keeps it for the log.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

import httpx

from annotation.core.records import Message
from training.core.chat_stream import ChatStreamClient, Ended
from training.core.client import ServerError, ServerTimeoutError
from training.core.pacing import Line, paced


@dataclass(frozen=True, slots=True, kw_only=True)
class Voice:
    """One side: where it is asked, and how."""

    base_url: str
    model: str
    api_key: str | None = field(default=None, repr=False)
    temperature: float
    top_p: float
    max_tokens: int
    seed: int


@dataclass(slots=True)
class Duet:
    """`texts` and `ends` are whole once `lines` has run out. `seconds` bounds all of it, `stall` every silence.

    A side that waits for its first word is silent no longer than nobody writes: `transformers serve` answers
    one request after the other, and the second side then waits for the whole answer of the first.
    """

    messages: Sequence[Message]
    voices: tuple[Voice, Voice]
    stall: float
    seconds: float
    transport: httpx.AsyncBaseTransport | None = None
    texts: tuple[list[str], list[str]] = field(default_factory=lambda: ([], []))
    ends: list[Ended | None] = field(default_factory=lambda: [None, None])
    failed: int | None = None
    _heard: float = 0.0  # when either wrote last

    async def lines(self) -> AsyncGenerator[Line | None, None]:
        """What may be shown, as it may be shown; None now and then where there is nothing.

        Raises:
            ServerError: a side failed; both are closed.
        """
        clock = asyncio.get_running_loop().time
        deadline, self._heard = clock() + self.seconds, clock()
        async with aclosing(paced(self._speak(0), self._speak(1))) as told:
            async for line in told:
                if clock() > deadline:
                    raise ServerTimeoutError("both answers together took too long")
                if line is None and not all(self.ends) and clock() - self._heard > 2 * self.stall:
                    raise ServerTimeoutError("the response server did not begin to write in time")
                yield line

    async def _speak(self, side: int) -> AsyncGenerator[str, None]:
        voice = self.voices[side]
        try:
            async with (
                ChatStreamClient(
                    voice.base_url,
                    voice.model,
                    api_key=voice.api_key,
                    stall=self.stall,
                    first=self.seconds,
                    transport=self.transport,
                ) as client,
                aclosing(
                    client.stream(
                        self.messages,
                        temperature=voice.temperature,
                        top_p=voice.top_p,
                        max_tokens=voice.max_tokens,
                        seed=voice.seed,
                    )
                ) as parts,
            ):
                async for part in parts:
                    if isinstance(part, Ended):
                        self.ends[side] = part
                    else:
                        self.texts[side].append(part)
                        self._heard = asyncio.get_running_loop().time()
                        yield part
        except ServerError:
            self.failed = side if self.failed is None else self.failed
            raise
