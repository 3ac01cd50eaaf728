"""Two answers at once: together, in time, and with what each said about its end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence

import httpx
import pytest

from training.core.chat_stream import Ended
from training.core.client import ServerError, ServerTimeoutError, ServerUnreachableError
from training.core.duet import Duet, Voice
from training.tests.fake_time import run_in_no_time
from training.tests.test_chat_stream import DONE, Body, Part, chunk


def voice(model: str) -> Voice:
    return Voice(base_url="http://server", model=model, temperature=1.0, top_p=1.0, max_tokens=9, seed=1)


def make(one: Sequence[Part], other: Sequence[Part], *, seconds: float = 500) -> Duet:
    async def handle(request: httpx.Request) -> httpx.Response:
        parts = one if json.loads(request.content)["model"] == "one" else other
        return httpx.Response(200, headers={"content-type": "text/event-stream"}, stream=Body(parts))

    return Duet(
        messages=[{"role": "user", "content": "Hi"}],
        voices=(voice("one"), voice("other")),
        stall=10,
        seconds=seconds,
        transport=httpx.MockTransport(handle),
    )


def run(duet: Duet) -> float:
    """How long it took; an error says so in a note."""

    async def listen() -> float:
        clock = asyncio.get_running_loop().time
        began = clock()
        try:
            async for _ in duet.lines():
                pass
        except ServerError as error:
            error.add_note(str(clock() - began))
            raise
        return clock() - began

    return run_in_no_time(listen())


def sing(one: Sequence[Part], other: Sequence[Part], *, seconds: float = 500) -> tuple[Duet, float]:
    duet = make(one, other, seconds=seconds)
    return duet, run(duet)


def words(count: int, pause: float) -> list[Part]:
    spoken: list[Part] = [part for _ in range(count) for part in (pause, chunk(" word"))]
    return [*spoken, chunk(finish="stop"), DONE]


def test_both_texts_and_both_ends_are_kept() -> None:
    duet, _ = sing(words(3, 0.5), words(2, 0.1))
    assert ["".join(texts) for texts in duet.texts] == [" word" * 3, " word" * 2]
    assert duet.ends == [Ended("stop", None, 1500), Ended("stop", None, 200)]


def test_a_side_may_wait_for_the_whole_answer_of_the_other() -> None:
    """As in a server that answers one request after the other."""
    duet, took = sing(words(30, 5.0), [150.0, *words(30, 5.0)])
    assert all(duet.ends)
    assert took == pytest.approx(300, abs=5)


def test_a_side_that_does_not_begin_once_the_other_has_ended_has_stalled() -> None:
    with pytest.raises(ServerTimeoutError) as caught:
        sing(words(3, 1.0), [400.0, *words(3, 1.0)])
    assert float(caught.value.__notes__[0]) == pytest.approx(23, abs=1.5)


def test_a_side_that_stops_in_the_middle_has_stalled_while_the_other_goes_on() -> None:
    with pytest.raises(ServerTimeoutError) as caught:
        sing(words(100, 1.0), [1.0, chunk("a"), 400.0])
    assert float(caught.value.__notes__[0]) == pytest.approx(11, abs=0.1)


def test_all_of_it_is_bounded() -> None:
    with pytest.raises(ServerTimeoutError, match="too long"):
        sing(words(100, 1.0), words(100, 1.0), seconds=30)


@pytest.mark.parametrize("side", [0, 1])
def test_the_side_that_failed_is_known_to_the_log_alone(side: int) -> None:
    parts = [words(9, 1.0), words(9, 1.0)]
    parts[side] = [chunk("a")]
    duet = make(*parts)
    with pytest.raises(ServerUnreachableError, match="the response server broke off"):
        run(duet)
    assert duet.failed == side
