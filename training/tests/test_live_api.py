"""Live prompts on a real response server: streams, what is stored, what fails, who wins."""

from __future__ import annotations

import json
from datetime import timedelta
from uuid import uuid4

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from annotation.core.grades import Choice, Focus
from annotation.core.ordering import left_choice
from annotation.models import Batch, Comparison, Dialogue, Lease, User
from annotation.services.allocation import lease_next
from annotation.services.batches import seal_batch
from training.core.states import LiveState
from training.models import LiveAttempt, LivePrompt, PolicyVersion
from training.tests.chat_server import ChatServer, Script
from training.tests.live import LIVE, ask, body, post, said

pytestmark = pytest.mark.django_db


def test_two_answers_stream_and_become_a_pair(writer: Client, ada: User, week: Batch) -> None:
    *lines, last = ask(writer)
    comparison = Comparison.objects.get()
    assert {frozenset(line) for line in lines} == {frozenset({"left", "right"})}
    assert last["item"]["key"] == comparison.key
    assert last["can_continue"] is True
    assert (comparison.batch, comparison.focus) == (week, Focus.HELPFULNESS)
    assert comparison.dialogue.messages == [{"role": "user", "content": "Why is the sky blue?"}]
    assert {comparison.response_a.text, comparison.response_b.text} == {
        said(lines, "left"),
        said(lines, "right"),
    }


def test_what_streamed_on_the_left_stays_on_the_left(writer: Client, ada: User, server: ChatServer) -> None:
    server.scripts = {"older-model": Script("From the older."), "newer-model": Script("From the newer.")}
    lefts = set()
    for number in range(12):
        *lines, last = ask(writer, text=f"Question {number}?")
        assert said(lines, "left") in last["item"]["left"]["html"]
        assert said(lines, "right") in last["item"]["right"]["html"]
        lefts.add(said(lines, "left"))
    assert len(lefts) == 2, "the coin falls on both sides"


def test_the_order_can_be_checked_afterwards(writer: Client, ada: User, week: Batch) -> None:
    *lines, _ = ask(writer)
    comparison = Comparison.objects.get()
    left = left_choice(seed=week.seed, comparison=comparison.key, annotator=ada.pseudonym)
    on_left = comparison.response_a if left is Choice.A else comparison.response_b
    assert on_left.text == said(lines, "left")


def test_the_newest_two_that_have_a_server_answer_at_different_temperatures(
    writer: Client, server: ChatServer
) -> None:
    ask(writer)
    assert {request["model"] for request in server.requests} == {"older-model", "newer-model"}
    assert {request["temperature"] for request in server.requests} == {0.7, 1.0}
    assert len({request["seed"] for request in server.requests}) == 2


def test_one_policy_answers_both_sides_where_it_is_the_only_one(writer: Client, server: ChatServer) -> None:
    PolicyVersion.objects.filter(name="V1-newer").update(endpoint="")
    ask(writer)
    assert [request["model"] for request in server.requests] == ["older-model"] * 2
    assert {request["temperature"] for request in server.requests} == {0.7, 1.0}


def test_without_a_name_the_server_is_asked_for_the_policys_folder(
    writer: Client, server: ChatServer, settings: Settings
) -> None:
    PolicyVersion.objects.update(endpoint_model="")
    ask(writer)
    assert {r["model"] for r in server.requests} == {
        f"{settings.MARGIN_HOME}/runs/V{v}" for v in ("0-older", "1-newer")
    }


def test_each_response_says_where_it_came_from(writer: Client, server: ChatServer) -> None:
    ask(writer)
    comparison = Comparison.objects.get()
    asked = {r["seed"]: (r["model"][:5], r["temperature"], r["top_p"]) for r in server.requests}
    for row in (comparison.response_a, comparison.response_b):
        assert row.seed is not None
        assert (row.policy[3:], row.temperature, row.top_p) == asked[row.seed]
        assert (row.tokens, row.finish_reason) == (4, "stop")
        assert row.latency_ms is not None
    attempt = LiveAttempt.objects.get()
    assert (attempt.outcome, {side["policy"] for side in attempt.sides}) == (
        "answered",
        {"V0-older", "V1-newer"},
    )


def test_nobody_else_gets_the_pair(writer: Client, ada: User, ben: User) -> None:
    key = ask(writer)[-1]["item"]["key"]
    assert lease_next(annotator=ben) == []
    assert [c.key for c in lease_next(annotator=ada)] == [key]


def test_with_overlap_others_get_the_other_slots(writer: Client, ada: User, ben: User) -> None:
    Batch.objects.update(overlap=2)
    key = ask(writer)[-1]["item"]["key"]
    assert [c.key for c in lease_next(annotator=ben)] == [key]
    assert set(Lease.objects.values_list("slot", "annotator")) == {(0, ada.pk), (1, ben.pk)}


def test_the_same_uid_again_asks_again_with_other_seeds(writer: Client, server: ChatServer) -> None:
    uid, server.scripts = str(uuid4()), {"": Script("Same.")}
    assert ask(writer, uid=uid)[-1]["problem"]["code"] == "same-answers"
    server.scripts = {"": Script("{seed}")}
    assert "item" in ask(writer, uid=uid, text="Why is grass green?")[-1]
    assert len({request["seed"] for request in server.requests}) == 4
    assert LivePrompt.objects.get().text == "Why is grass green?"
    assert list(LiveAttempt.objects.values_list("number", "outcome")) == [
        (1, "same-answers"),
        (2, "answered"),
    ]


def test_an_answered_prompt_is_not_asked_again(writer: Client, server: ChatServer) -> None:
    uid = str(uuid4())
    first = ask(writer, uid=uid)[-1]
    again = ask(writer, uid=uid)
    assert (again, len(server.requests)) == ([first], 2)


@pytest.mark.parametrize(
    ("script", "code"),
    [
        (Script(status=500), "model-failed"),
        (Script(status=404), "model-failed"),
        (Script("a b c d", dies_after=2), "model-failed"),
        (Script("a b c d", halts_after=2), "model-stalled"),
    ],
)
@pytest.mark.parametrize("model", ["older-model", "newer-model"])
def test_a_side_that_fails_keeps_the_prompt_and_is_not_named(
    writer: Client, server: ChatServer, settings: Settings, script: Script, code: str, model: str
) -> None:
    settings.LIVE_STALL = 0.3 if code == "model-stalled" else 30
    server.scripts[model] = script
    problem = ask(writer)[-1]["problem"]
    assert problem["code"] == code
    assert not any(word in problem["detail"].lower() for word in ("left", "right", "side", "first", "second"))
    prompt = LivePrompt.objects.get()
    assert (prompt.state, prompt.message) == (LiveState.FAILED, problem["detail"])
    assert not Dialogue.objects.exists()
    assert writer.get(LIVE).json()["prompt"]["text"] == "Why is the sky blue?"


def test_answers_that_take_too_long_together_are_ended(
    writer: Client, server: ChatServer, settings: Settings
) -> None:
    settings.LIVE_SECONDS = 0.3
    server.scripts = {"": Script("a " * 50, pause=0.05)}
    assert ask(writer)[-1]["problem"]["code"] == "model-stalled"


def test_a_week_that_ends_meanwhile_keeps_the_prompt(
    writer: Client, week: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = post(writer, **body())
    lines = iter(answer.streaming_content)
    next(lines)
    seal_batch(batch=week)
    last = json.loads(list(lines)[-1])
    assert last["problem"]["code"] == "batch-sealed"
    assert (LivePrompt.objects.get().state, Comparison.objects.count()) == (LiveState.FAILED, 0)


@pytest.mark.parametrize(("action", "state"), [("stop", "stopped"), ("drop", "dropped")])
def test_a_stop_in_another_tab_wins_over_the_stream(writer: Client, action: str, state: str) -> None:
    uid = str(uuid4())
    lines = iter(post(writer, **body(uid=uid)).streaming_content)
    next(lines)
    assert post(writer, f"/{uid}/{action}").json() == {"state": state}
    assert json.loads(list(lines)[-1])["problem"]["code"] == "stopped"
    assert (LivePrompt.objects.get().state, Comparison.objects.count()) == (state, 0)
    assert post(writer, f"/{uid}/{action}").json() == {"state": state}, "twice is once"


def test_asking_again_in_another_tab_wins_over_the_stream(writer: Client) -> None:
    uid = str(uuid4())
    lines = iter(post(writer, **body(uid=uid)).streaming_content)
    next(lines)
    assert "item" in ask(writer, uid=uid)[-1]
    assert json.loads(list(lines)[-1])["problem"]["code"] == "stopped"
    assert Comparison.objects.count() == 1


def test_a_new_prompt_stops_the_one_under_way(writer: Client) -> None:
    uid = str(uuid4())
    lines = iter(post(writer, **body(uid=uid)).streaming_content)
    next(lines)
    assert "item" in ask(writer, text="Another one?")[-1]
    assert json.loads(list(lines)[-1])["problem"]["code"] == "stopped"
    assert LivePrompt.objects.get(uid=uid).state == LiveState.STOPPED


def test_stopping_what_is_answered_says_so(writer: Client) -> None:
    uid = str(uuid4())
    ask(writer, uid=uid)
    assert post(writer, f"/{uid}/stop").status_code == 409
    assert post(writer, f"/{uid}/drop").status_code == 409


def test_a_dropped_prompt_is_gone(writer: Client, server: ChatServer) -> None:
    uid, server.scripts = str(uuid4()), {"": Script("Same.")}
    ask(writer, uid=uid)
    post(writer, f"/{uid}/drop")
    assert writer.get(LIVE).json()["prompt"] is None
    assert post(writer, **body(uid=uid)).status_code == 409


def test_whoever_leaves_ends_the_attempt_and_the_connections(writer: Client, server: ChatServer) -> None:
    server.scripts = {"": Script("word " * 400, pause=0.01)}
    answer = post(writer, **body())
    lines = iter(answer.streaming_content)
    for _ in range(5):
        next(lines)
    answer._iterator.close()  # as the server does; the test client's own close would take the database along
    waiting = writer.get(LIVE).json()["prompt"]
    assert (waiting["state"], "kept" in waiting["message"]) == ("failed", True)
    deadline = timezone.now() + timedelta(seconds=5)
    while server.left < 2 and timezone.now() < deadline:
        pass
    assert server.left == 2


def test_a_prompt_whose_process_died_is_shown_as_failed(writer: Client, ada: User, week: Batch) -> None:
    post(writer, **body())  # its stream is never read, as if the process had been killed
    assert writer.get(LIVE).json()["prompt"]["state"] == "asking"
    LivePrompt.objects.update(attempt_at=timezone.now() - timedelta(hours=1))
    waiting = writer.get(LIVE).json()["prompt"]
    assert waiting["state"] == "failed"
    assert waiting["message"] == "The answers broke off. Your prompt is kept: ask again."
    assert not Dialogue.objects.exists()
    assert "item" in ask(writer, uid=waiting["uid"])[-1]
