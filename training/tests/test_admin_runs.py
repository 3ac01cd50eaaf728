"""A run's page: what it shows while it works and afterwards, its log, its buttons."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, DjangoCaptureOnCommitCallbacks

from annotation.models import User
from training import overview
from training.core.events import Event
from training.core.spec import RunKind
from training.core.states import RunState
from training.models import Run, RunEvent, WorkerBeat
from training.overview import Metric
from training.services import runs
from training.templatetags.loop import beside, said, span, working_sentence

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def client(as_user: Callable[[User], Client], rosa: User) -> Client:
    """Rosa's browser."""
    return as_user(rosa)


@pytest.fixture
def run(rosa: User) -> Run:
    return runs.queue_run(
        kind=RunKind.IMPORT_POLICY, params={"source": "tiny"}, inputs={"name": "V0"}, by=rosa
    )


def at_work(run: Run, *events: Event) -> Run:
    held = runs.claim_run(pk=run.pk)
    assert held is not None
    runs.beat_run(run=held, events=events, events_read=1)
    return held


def say(kind: str, **data: Any) -> Event:
    return Event(at=timezone.now().isoformat(), type=kind, data=data)


def place(run: Run, name: str = "change") -> str:
    return reverse(f"admin:training_run_{name}", args=(run.pk,))


def text_of(client: Client, address: str) -> str:
    return client.get(address).content.decode()


def write_log(run: Run, text: bytes) -> None:
    run.folder.mkdir(parents=True, exist_ok=True)
    (run.folder / "log.txt").write_bytes(text)


@pytest.mark.parametrize("name", ["change", "live", "log", "cancel", "retry"])
def test_ada_gets_to_no_run(as_user: Callable[[User], Client], ada: User, run: Run, name: str) -> None:
    theirs = as_user(ada)
    assert theirs.get(place(run, name), follow=True).status_code == 403
    assert theirs.post(place(run, name), follow=True).status_code == 403
    run.refresh_from_db()
    assert run.state == RunState.QUEUED


def test_a_queued_run_without_a_worker_says_how_to_start_one(client: Client, run: Run) -> None:
    assert "celery -A config worker" in text_of(client, place(run))
    WorkerBeat.objects.create(name="w", seen_at=timezone.now())
    assert "celery -A config worker" not in text_of(client, place(run))


def test_a_running_run_says_how_far_it_is_and_how_long_it_takes(client: Client, run: Run) -> None:
    with time_machine.travel(NOON, tick=False) as clock:
        at_work(run, say("stage", name="copy"), say("progress", done=25, total=100, unit="files"))
        clock.shift(timedelta(seconds=60))
        text = text_of(client, place(run))
    # 25 of 100 in 60 s: 75 more take 180 s.
    assert "25 of 100 files · about 3 min left" in " ".join(text.split())
    assert 'aria-valuenow="25"' in text
    assert f'hx-get="{place(run, "live")}"' in text


def test_nothing_is_said_of_the_time_left_before_there_is_a_rate(run: Run) -> None:
    held = at_work(run, say("stage", name="copy"), say("progress", done=1, total=9, unit="files"))
    assert overview.time_left(held) is None
    held.done = 0
    assert overview.time_left(held) is None


def test_the_page_polls_until_the_run_has_ended(client: Client, run: Run) -> None:
    held = at_work(run)
    assert client.get(place(run, "live")).status_code == 200
    assert client.get(place(run, "log")).status_code == 200
    runs.end_run(run=held, state=RunState.SUCCEEDED, result={"parameters": 1234})
    answer = client.get(place(run, "live"))
    assert answer.status_code == 286  # htmx asks no more
    assert "1,234" in answer.content.decode()
    assert client.get(place(run, "log")).status_code == 286
    text = text_of(client, place(run))
    assert place(run, "live") not in text
    assert place(run, "log") not in text


def test_a_failed_run_gives_the_cause_first_and_keeps_the_log_folded(client: Client, run: Run) -> None:
    held = at_work(run, say("started", pid=1))
    write_log(run, b"Traceback (most recent call last): ...")
    runs.end_run(run=held, state=RunState.FAILED, message="The source is a pickle.")
    text = text_of(client, place(run))
    assert text.index("The source is a pickle.") < text.index("Retry") < text.index("Traceback")
    assert '<details class="m-section m-fold">' in text


def test_html_in_log_events_and_messages_is_text(client: Client, run: Run) -> None:
    evil = "<script>alert(1)</script>"
    held = at_work(run, say("note", text=evil), say("metric", name=evil, value=1.0, step=1))
    write_log(run, f"{evil}\n</pre>{evil}".encode())
    runs.end_run(run=held, state=RunState.FAILED, message=evil, result={evil: evil})
    for name in ("change", "live", "log"):
        text = text_of(client, place(run, name))
        assert "<script>alert" not in text
        assert "&lt;script&gt;alert" in text
        assert "</pre>&lt;" not in text


def test_of_a_long_log_the_last_64_kb_are_read(client: Client, run: Run) -> None:
    write_log(run, b"".join(b"line %06d\n" % i for i in range(20_000)))
    tail = overview.log_tail(run)
    assert tail.endswith("line 019999\n")
    assert tail.startswith("line ")
    # 65,536 bytes hold 5,461 lines of 12 and 4 bytes of another, which is left out.
    assert tail.count("\n") == 5461


def test_a_log_that_is_no_utf_8_or_not_there_is_no_error(client: Client, run: Run) -> None:
    assert "Nothing was printed yet" in text_of(client, place(run, "log"))
    write_log(run, b"\xff\xfe ok")
    assert "ok" in text_of(client, place(run, "log"))


@pytest.mark.parametrize("name", ["../../etc/passwd", "1/../../secret", "%2e%2e%2f1"])
def test_no_address_leads_to_another_file(client: Client, home: Path, name: str) -> None:
    (home / "secret").write_text("secret")
    answer = client.get(f"/admin/training/run/{name}/log/")
    assert answer.status_code == 404


def test_cancelling_asks_a_running_run_to_stop(client: Client, rosa: User, run: Run) -> None:
    at_work(run)
    text = client.post(place(run, "cancel"), follow=True).content.decode()
    run.refresh_from_db()
    assert run.state == RunState.CANCELLING
    assert "was asked to stop" in text
    last = run.events.last()
    assert last is not None
    assert last.data["by"] == rosa.pk


def test_cancelling_a_queued_run_cancels_it_at_once(client: Client, run: Run) -> None:
    assert "is cancelled" in client.post(place(run, "cancel"), follow=True).content.decode()
    run.refresh_from_db()
    assert run.state == RunState.CANCELLED


def test_a_run_that_ended_meanwhile_is_not_cancelled_and_the_page_says_so(client: Client, run: Run) -> None:
    runs.end_run(run=at_work(run), state=RunState.SUCCEEDED)
    assert "nothing to cancel" in client.post(place(run, "cancel"), follow=True).content.decode()


def test_a_retry_queues_the_run_again(
    client: Client,
    run: Run,
    announced: list[int],
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    runs.end_run(run=at_work(run), state=RunState.FAILED, message="No.")
    with django_capture_on_commit_callbacks(execute=True):
        client.post(place(run, "retry"))
    run.refresh_from_db()
    assert run.state == RunState.QUEUED
    assert announced == [run.pk]


@pytest.mark.parametrize("name", ["cancel", "retry"])
def test_looking_at_an_address_changes_nothing(client: Client, run: Run, name: str) -> None:
    assert client.get(place(run, name)).status_code == 405
    run.refresh_from_db()
    assert run.state == RunState.QUEUED


def test_a_run_is_read_and_never_written(client: Client, run: Run) -> None:
    assert client.get(reverse("admin:training_run_add")).status_code == 403
    assert client.post(place(run, "delete"), {"post": "yes"}).status_code == 403
    client.post(place(run), {"state": "succeeded"})
    run.refresh_from_db()
    assert run.state == RunState.QUEUED


def test_the_list_asks_no_more_for_many_runs(
    client: Client, rosa: User, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    Run.objects.bulk_create(
        Run(kind=RunKind.SAMPLE, state=RunState.QUEUED, created_by=rosa) for _ in range(30)
    )
    with django_assert_max_num_queries(8):
        text_of(client, reverse("admin:training_run_changelist"))


def test_metrics_show_their_last_value_and_a_step_that_was_repeated_counts_once(run: Run) -> None:
    values = [("loss", 0.9, 1), ("loss", 0.8, 2), ("loss", 0.7, 2), ("rate", 1.0, 1), ("loss", None, 3)]
    for name, value, step in values:
        RunEvent.objects.create(run=run, type="metric", data={"name": name, "value": value, "step": step})
    RunEvent.objects.create(run=run, type="metric", data={"odd": True})
    loss, rate = overview.metrics_of(run)
    assert (loss.name, loss.values, loss.step, loss.last) == ("loss", [0.9, 0.7], 2, 0.7)
    assert (rate.values, rate.plot) == ([1.0], "")


def test_a_small_plot_spans_its_box() -> None:
    # The lowest value lies at 23 of 24, the highest at 1.
    assert Metric("loss", [3.0, 1.0, 2.0]).plot == "0.0,1.0 50.0,23.0 100.0,12.0"
    assert Metric("flat", [1.0, 1.0]).plot == "0.0,23.0 100.0,23.0"


def test_a_result_is_shown_by_its_paths(run: Run) -> None:
    run.result = {"metrics": {"accuracy": 0.625, "by_grade": {"better": {"pairs": 1200}}}, "by_k": [[1, 0.5]]}
    shown = [(item.name, item.value) for item in overview.result_of(run)]
    assert shown == [
        ("metrics · accuracy", "0.625"),
        ("metrics · by_grade · better · pairs", "1,200"),
        ("by_k", "1, 0.5"),
    ]


def test_parameters_say_which_are_the_defaults(run: Run) -> None:
    shown = {item.name: (item.value, item.plain) for item in overview.params_of(run)}
    assert shown == {"source": ("tiny", False), "template": ("model", True)}


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (59.4, "59 s"),
        (60, "1 min"),
        (185, "3 min 5 s"),
        (7800, "2 h 10 min"),
        (273600, "3 d 4 h"),
    ],
)
def test_durations_have_two_units_at_most(seconds: float, words: str) -> None:
    assert span(timedelta(seconds=seconds)) == words
    assert span(None) == "—"


def test_what_is_at_work_is_said_in_a_sentence() -> None:
    running = Run(kind=RunKind.SAMPLE, state=RunState.RUNNING, done=1, total=4)
    waiting = Run(kind=RunKind.FINETUNE, state=RunState.QUEUED, inputs={"name": "V1"})
    assert beside(running) == "25 %"
    assert working_sentence([running, waiting]) == "At work: sample 25 %, finetune V1 (queued)."


def test_an_event_is_one_line() -> None:
    assert said({"text": "12 pairs were cut"}) == "12 pairs were cut"
    assert said({"pid": 7, "attempt": 2}) == "pid 7, attempt 2"
    assert said({"state": "cancelled", "by": 3}) == "cancelled"
