"""Following a run: events as they are sent, through cuts, to the end."""

from __future__ import annotations

import asyncio
import json
from itertools import pairwise

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.tests.fakes import Answers, Cut, async_margin, margin, problem
from margin_client import MarginError, NotFoundError, RunEndedError
from margin_client.sse import Parser, ServerEvent

AT = "2026-01-31T12:00:00.000+00:00"


def line(number: int, kind: str, **data: object) -> bytes:
    body = json.dumps({"at": AT, "type": kind, "data": data})
    return f"id: {number}\nevent: {kind}\ndata: {body}\n\n".encode()


END = b'id: 9-end\nevent: end\ndata: {"state": "succeeded", "message": ""}\n\n'


def stream(body: bytes, cut_after: int | None = None) -> httpx.Response:
    whole = Cut(body, len(body) if cut_after is None else cut_after)
    return httpx.Response(200, headers={"Content-Type": "text/event-stream"}, stream=whole)


def run(state: str, message: str = "") -> httpx.Response:
    return httpx.Response(200, json={"uid": "u", "kind": "sample", "state": state, "message": message})


def test_events_come_as_records() -> None:
    progress = b'event: progress\ndata: {"state": "running", "percent": 25}\n\n'
    server = Answers(stream(b"retry: 2000\n\n" + line(1, "started", pid=5) + progress + END))
    events = list(margin(server).runs.follow("u"))
    assert [(event.id, event.type) for event in events] == [
        ("1", "started"),
        ("1", "progress"),
        ("9-end", "end"),
    ]
    assert [event.data.get("pid") or event.data["state"] for event in events] == [5, "running", "succeeded"]
    assert events[0].at is not None
    assert events[0].at.isoformat() == "2026-01-31T12:00:00+00:00"
    assert events[1].at is None
    assert server.asked[0].headers["Accept"] == "text/event-stream"


def test_a_cut_is_taken_up_behind_the_last_whole_event(slept: list[float]) -> None:
    first = line(1, "started") + line(2, "note", text="half of it never came")
    server = Answers(stream(first, len(first) - 20), stream(line(2, "note") + END))
    assert [event.id for event in margin(server).runs.follow("u")] == ["1", "2", "9-end"]
    assert server.asked[1].headers["Last-Event-ID"] == "1"


def test_an_answer_that_ends_before_the_run_does_is_asked_for_again(slept: list[float]) -> None:
    server = Answers(stream(line(1, "started")), stream(END))
    assert [event.id for event in margin(server).runs.follow("u")] == ["1", "9-end"]
    assert server.asked[1].headers["Last-Event-ID"] == "1"
    assert len(slept) == 1


def test_nothing_comes_of_a_run_that_ended_before() -> None:
    server = Answers(httpx.Response(204))
    assert list(margin(server).runs.follow("u", after="9-end")) == []
    assert server.asked[0].headers["Last-Event-ID"] == "9-end"


def test_a_run_that_is_not_there_is_said_at_once() -> None:
    with pytest.raises(NotFoundError, match="No such run"):
        list(margin(Answers(problem(404, "No such run."))).runs.follow("u"))


def test_a_server_that_does_not_come_back_is_given_up(slept: list[float]) -> None:
    server = Answers(stream(line(1, "started"), 60), *[httpx.ConnectError("refused")] * 3)
    with pytest.raises(MarginError, match="does not answer"):
        list(margin(server, retries=2).runs.follow("u"))


def test_the_other_client_follows_too(slept: list[float]) -> None:
    async def follow() -> list[str]:
        first = line(1, "started") + line(2, "note")
        server = Answers(stream(first, len(first) - 3), stream(END))
        async with async_margin(server) as client:
            return [event.id async for event in client.runs.follow("u")]

    assert asyncio.run(follow()) == ["1", "9-end"]


def test_waiting_ends_with_the_run(slept: list[float]) -> None:
    assert (
        margin(Answers(run("queued"), run("running"), run("succeeded"))).runs.wait("u").state == "succeeded"
    )
    assert len(slept) == 2


def test_waiting_for_a_run_that_fails_says_why() -> None:
    with pytest.raises(RunEndedError, match=r"Run u has failed\. Too few pairs\.") as caught:
        margin(Answers(run("failed", "Too few pairs."))).runs.wait("u")
    assert caught.value.state == "failed"


STREAM = (
    b"\xef\xbb\xbfid: 1\r\n: a comment\r\nevent: note\r\ndata: gr\xc3\xbc\xc3\x9f\r\ndata:two\r\n\r\n"
    b"data: plain\rid: 2\r\rretry: 10\nevent: none\n\ndata\n\n"
)
EVENTS = [
    ServerEvent("note", "grüß\ntwo", "1"),
    ServerEvent("message", "plain", "2"),
    ServerEvent("message", "", "2"),
]


@given(st.sets(st.integers(1, len(STREAM) - 1)))
def test_the_stream_may_be_cut_into_pieces_anywhere(cuts: set[int]) -> None:
    # Values by the algorithm of WHATWG HTML, 9.2.6.
    parser = Parser()
    edges = [0, *sorted(cuts), len(STREAM)]
    pieces = [STREAM[start:end] for start, end in pairwise(edges)]
    assert [event for piece in pieces for event in parser.feed(piece)] == EVENTS
