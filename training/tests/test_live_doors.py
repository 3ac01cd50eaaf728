"""Who may ask what, when it is not possible, and what never reaches the page."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from pytest_django import Settings

from annotation.models import Batch, User
from annotation.services.batches import seal_batch
from tests.factories import make_user
from training.models import LiveAttempt, LivePrompt, PolicyVersion
from training.tests.chat_server import ChatServer, Script
from training.tests.live import LIVE, ask, body, post

pytestmark = pytest.mark.django_db

AsUser = Callable[[User], Client]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"text": ""}, "text"),
        ({"text": " \n "}, "text"),
        ({"text": "x" * 20_001}, "text"),
        ({"text": "nul \0"}, "text"),
        ({"text": 5}, "text"),
        ({"focus": "both"}, "focus"),
        ({"uid": "1"}, "uid"),
        ({"continues": "../x"}, "continues"),
        ({"policy": "V1"}, "policy"),
    ],
)
def test_a_wrong_field_is_named(writer: Client, fields: dict[str, Any], field: str) -> None:
    answer = post(writer, **body(**fields))
    assert (answer.status_code, [e["field"] for e in answer.json()["errors"]]) == (422, [field])
    assert not LivePrompt.objects.exists()


def test_the_longest_prompt_is_taken_in_any_script(writer: Client) -> None:
    text = "\N{MAN}" * 20_000
    fields = json.dumps(body(text=text), ensure_ascii=False)
    answer = writer.post(LIVE, fields, content_type="application/json")
    assert "item" in json.loads(list(answer)[-1])


def test_somebody_elses_prompt_is_out_of_reach(writer: Client, ben: User, as_user: AsUser) -> None:
    uid = str(uuid4())
    ask(writer, uid=uid)
    other = as_user(ben)
    assert post(other, **body(uid=uid)).status_code == 409
    assert post(other, f"/{uid}/stop").status_code == 404
    assert post(other, f"/{uid}/drop").status_code == 404


def test_nobody_asks_unless_signed_in(writer: Client) -> None:
    assert post(Client(), **body()).status_code == 401
    assert Client().get(LIVE).status_code == 401


def test_another_method_is_refused(writer: Client) -> None:
    assert writer.delete(LIVE).status_code == 405


@pytest.mark.parametrize(
    ("break_it", "why"),
    [
        (lambda week: seal_batch(batch=week), "No batch is open"),
        (lambda week: Batch.objects.update(turn_limit=0), "takes no prompts"),
        (lambda week: PolicyVersion.objects.update(endpoint=""), "no policy has a response server"),
    ],
)
def test_why_live_prompts_are_not_possible_is_said(
    writer: Client, week: Batch, break_it: Callable[[Batch], object], why: str
) -> None:
    assert writer.get(LIVE).json() == {"available": True, "why": "", "turn_limit": 4, "prompt": None}
    break_it(week)
    told = writer.get(LIVE).json()
    assert (told["available"], why in told["why"]) == (False, True)
    answer = post(writer, **body())
    assert (answer.status_code, answer.json()["code"], answer.json()["detail"]) == (
        409,
        "live-unavailable",
        told["why"],
    )


def test_more_streams_than_a_process_carries_are_turned_away(writer: Client, settings: Settings) -> None:
    settings.LIVE_STREAMS = 1
    lines = iter(post(writer, **body()).streaming_content)
    next(lines)
    other = Client()
    other.force_login(make_user("cleo"))
    assert ask(other)[-1]["problem"]["code"] == "live-unavailable"
    assert "item" in json.loads(list(lines)[-1])
    assert "item" in ask(other)[-1], "the place is free again"


def test_keys_go_to_their_host_alone(writer: Client, server: ChatServer, settings: Settings) -> None:
    host = server.address.removeprefix("http://")
    settings.RESPONSE_SERVER_KEYS = {host: "right", "elsewhere": "wrong"}
    ask(writer)
    settings.RESPONSE_SERVER_KEYS = {"127.0.0.1:1": "wrong", "127.0.0.1": "right"}
    ask(writer)
    settings.RESPONSE_SERVER_KEYS = {"127.0.0.1:1": "wrong"}
    ask(writer)
    assert server.keys == ["Bearer right"] * 4 + [None] * 2


def test_nothing_that_reaches_the_page_names_a_model(writer: Client, server: ChatServer) -> None:
    """Headers, lines, problems and the page itself, in good times and bad."""
    seen: list[str] = []
    server.scripts = {"older-model": Script("One answer."), "newer-model": Script("Another answer.")}

    def keep(answer: Any) -> None:
        content = b"".join(answer) if answer.streaming else answer.content
        seen.append(f"{dict(answer.headers)} {content.decode()}")

    uid = str(uuid4())
    keep(writer.get(LIVE))
    keep(post(writer, **body(uid=uid)))
    keep(post(writer, **body(uid=uid)))
    for script in (Script(status=500), Script("a b", dies_after=1), Script("Same.")):
        server.scripts = {"": script}
        keep(post(writer, **body()))
        keep(writer.get(LIVE))
    keep(writer.get("/api/v1/comparisons/next"))
    PolicyVersion.objects.update(endpoint="http://127.0.0.1:1/x")
    keep(post(writer, **body()))
    PolicyVersion.objects.update(endpoint="")
    keep(post(writer, **body()))
    keep(writer.get(LIVE))
    page = writer.get("/rate").content.decode()
    rows = LiveAttempt.objects.all()
    drawn = [str(side["seed"]) for row in rows for side in row.sides] + [str(row.seed) for row in rows]
    names = ["V0-older", "V1-newer", "older-model", "newer-model", server.address, "127.0.0.1:1", "secret-of"]
    for secret in [*names, *drawn, "temperature", "endpoint", "runs/V"]:
        assert secret not in " ".join(seen), secret
    assert [name for name in names if name in page] == []
