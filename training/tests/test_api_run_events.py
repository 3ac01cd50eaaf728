"""Following a run: every event once and in order, taken up where it was cut, ended when the run ends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
from django.core.handlers.asgi import ASGIRequest
from django.http import StreamingHttpResponse
from django.test import AsyncClient, Client
from pytest_django import Settings

from annotation.models import User
from training.api import run_events
from training.core.events import Event
from training.core.states import RunState
from training.models import Run, RunEvent
from training.services import runs
from training.services.start import start_import_policy

pytestmark = pytest.mark.django_db


@pytest.fixture
def client(as_user: Callable[[User], Client], rosa: User) -> Client:
    """Rosa's browser."""
    return as_user(rosa)


@pytest.fixture
def run() -> Run:
    """A run at work."""
    held = runs.claim_run(pk=start_import_policy(name="V0", params={"source": "tiny"}).pk)
    assert held is not None
    return held


@pytest.fixture(autouse=True)
def sleeps(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], None]]:
    """What happens while the stream sleeps, nap by nap; after the last one it must not sleep."""
    happens: list[Callable[[], None]] = []

    def nap(seconds: float) -> None:
        happens.pop(0)()

    monkeypatch.setattr("training.api.run_events.time.sleep", nap)
    return happens


def say(run: Run, *events: tuple[str, dict[str, Any]]) -> None:
    made = [Event("2026-03-01T12:00:00+00:00", kind, data) for kind, data in events]
    runs.beat_run(run=run, events=made, events_read=run.events_read + 1)


def end(run: Run, state: RunState = RunState.SUCCEEDED) -> None:
    runs.end_run(run=run, state=state, message="That is why.")


def follow(client: Client, run: Run, last: str = "") -> Any:
    headers = {"Last-Event-ID": last} if last else {}
    return client.get(f"/api/v1/runs/{run.uid}/events", headers=headers)


def read(pieces: Iterator[bytes]) -> list[dict[str, str]]:
    """Events as a browser reads them; comments left out."""
    text = b"".join(pieces).decode()
    assert text.startswith("retry: 2000\n\n")
    blocks = [block for block in text.split("\n\n")[1:] if block and not block.startswith(":")]
    return [dict(line.split(": ", 1) for line in block.split("\n")) for block in blocks]


def leave(answer: Any) -> None:
    """As a server does whose client is gone; answer.close() would close the connection that the test is in."""
    answer._iterator.close()


def told(answer: Any) -> list[dict[str, str]]:
    assert answer.status_code == 200
    return read(answer.streaming_content)


def names(events: list[dict[str, str]]) -> list[str]:
    return [event["event"] for event in events]


def test_the_events_so_far_and_the_end_of_a_run_that_ended(client: Client, run: Run) -> None:
    say(run, ("stage", {"name": "download"}), ("note", {"text": "Line\nbreak."}))
    end(run)
    answer = follow(client, run)
    assert answer["Content-Type"] == "text/event-stream"
    assert (answer["X-Accel-Buffering"], "no-cache" in answer["Cache-Control"]) == ("no", True)
    events = told(answer)
    assert names(events) == ["state", "state", "stage", "note", "state", "progress", "end"]
    assert json.loads(events[3]["data"])["data"] == {"text": "Line\nbreak."}
    keys = [int(event["id"]) for event in events[:5]]
    assert keys == list(RunEvent.objects.filter(run=run).order_by("pk").values_list("pk", flat=True))
    assert events[-1]["id"] == f"{keys[-1]}-end"
    assert json.loads(events[-1]["data"]) == {"state": "succeeded", "message": "That is why."}


def test_what_happens_meanwhile_is_told_once_and_the_stream_ends_with_the_run(
    client: Client, run: Run, sleeps: list[Callable[[], None]]
) -> None:
    sleeps += [
        lambda: say(run, ("metric", {"name": "loss", "value": 1.0, "step": 1})),
        lambda: None,
        lambda: say(run, ("progress", {"done": 1, "total": 4, "unit": "files"})),
        lambda: end(run, RunState.FAILED),
    ]
    events = told(follow(client, run))
    # A progress event stands where something of it changed: at first, with the files, with the state.
    assert names(events) == ["state", "state", "progress", "metric", "progress", "state", "progress", "end"]
    assert json.loads(events[4]["data"])["percent"] == 25
    assert sleeps == []


def test_a_stream_that_was_cut_goes_on_behind_the_last_event(client: Client, run: Run) -> None:
    say(run, *(("metric", {"name": "loss", "value": 1.0, "step": n}) for n in range(5)))
    end(run)
    whole = told(follow(client, run))
    for cut in range(1, len(whole) - 2):
        rest = told(follow(client, run, whole[cut - 1]["id"]))
        assert [e["id"] for e in rest if "id" in e] == [e["id"] for e in whole[cut:] if "id" in e]


def test_whoever_was_told_the_end_is_not_told_it_again(client: Client, run: Run) -> None:
    end(run)
    last = told(follow(client, run))[-1]["id"]
    assert follow(client, run, last).status_code == 204
    start_import_policy(name="V1", params={"source": "tiny"})  # another run's events have later keys
    assert follow(client, run, last).status_code == 204


def test_a_run_that_was_retried_is_followed_again(client: Client, run: Run) -> None:
    end(run, RunState.FAILED)
    last = told(follow(client, run))[-1]["id"]
    runs.retry_run(run=run)
    held = runs.claim_run(pk=run.pk)
    assert held is not None
    end(held)
    assert names(told(follow(client, run, last))) == ["state", "state", "state", "progress", "end"]


def test_more_events_than_one_look_takes_all_come_before_the_end(
    client: Client, run: Run, monkeypatch: pytest.MonkeyPatch, sleeps: list[Callable[[], None]]
) -> None:
    monkeypatch.setattr(run_events, "AT_ONCE", 2)
    say(run, *(("note", {"text": str(n)}) for n in range(5)))
    end(run)
    sleeps += [lambda: None] * 4
    events = [event for event in told(follow(client, run)) if event["event"] != "progress"]
    assert names(events) == ["state", "state", *["note"] * 5, "state", "end"]


def test_a_silent_run_is_kept_awake_and_a_long_stream_ends_without_an_end(
    client: Client, run: Run, monkeypatch: pytest.MonkeyPatch, sleeps: list[Callable[[], None]]
) -> None:
    now = [0.0]
    monkeypatch.setattr("training.api.run_events.time.monotonic", lambda: now[0])

    def pass_time() -> None:
        now[0] += 7

    sleeps += [pass_time] * 100
    text = b"".join(follow(client, run).streaming_content).decode()
    # A comment every second nap of seven seconds, for five minutes: 300 / 14.
    assert text.count("\n\n: \n\n") + text.count(": \n\n: ") >= 20
    assert "event: end" not in text


@pytest.mark.parametrize("given", ["x", "-1", "1-begin", "9" * 19, "1\t"])
def test_an_id_that_is_none_is_refused(client: Client, run: Run, given: str) -> None:
    answer = follow(client, run, given)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "Last-Event-ID"


def test_only_so_many_streams_are_carried_at_once(client: Client, run: Run, settings: Settings) -> None:
    settings.RUN_STREAMS = 1
    first = follow(client, run)
    begun = iter(first.streaming_content)
    next(begun)
    refused = follow(client, run)
    assert (refused.status_code, refused.json()["code"]) == (503, "too-many-streams")
    assert refused["Retry-After"] == "10"
    leave(first)
    assert follow(client, run).status_code == 200


def test_a_stream_that_nobody_reads_holds_no_place(client: Client, run: Run, settings: Settings) -> None:
    settings.RUN_STREAMS = 1
    leave(follow(client, run))
    assert follow(client, run).status_code == 200


def test_others_follow_nothing(
    as_user: Callable[[User], Client], ada: User, client: Client, run: Run
) -> None:
    assert follow(as_user(ada), run).status_code == 403
    assert follow(Client(), run).status_code == 401
    assert client.get(f"/api/v1/runs/{uuid4()}/events").status_code == 404


def test_a_browsers_accept_header_is_enough_and_other_methods_are_refused(client: Client, run: Run) -> None:
    end(run)
    address = f"/api/v1/runs/{run.uid}/events"
    assert client.get(address, headers={"Accept": "text/event-stream"}).status_code == 200
    assert client.head(address).status_code == 405
    assert client.post(address).status_code == 405


@pytest.mark.django_db(transaction=True)
def test_an_asynchronous_server_tells_the_same(rosa: User, monkeypatch: pytest.MonkeyPatch) -> None:
    run = runs.claim_run(pk=start_import_policy(name="V0", params={"source": "tiny"}).pk)
    assert run is not None
    say(run, ("stage", {"name": "download"}))
    naps: list[float] = []

    async def nap(seconds: float) -> None:
        naps.append(seconds)
        await asyncio.to_thread(end, run)

    monkeypatch.setattr("training.api.run_events.asyncio.sleep", nap)
    client = AsyncClient()

    async def asked() -> list[bytes]:
        await client.aforce_login(rosa)
        answer = await client.get(f"/api/v1/runs/{run.uid}/events")
        assert isinstance(answer, StreamingHttpResponse)
        assert isinstance(answer.asgi_request, ASGIRequest)
        return [piece async for piece in answer]

    events = read(iter(asyncio.run(asked())))
    assert names(events) == ["state", "state", "stage", "progress", "state", "progress", "end"]
    assert naps == [run_events.POLL]
