"""The launcher beside a small process of its own: every way to end, and what becomes of the run."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError

from annotation.errors import ConflictError
from tests.factories import make_policy
from training.core.spec import RunKind
from training.core.states import RunState
from training.errors import ClaimLostError
from training.launchers import local
from training.models import PolicyVersion, Run
from training.services import kinds, runs
from training.tasks import execute_run

pytestmark = pytest.mark.django_db

Play = Callable[[str], Run]

# What each script may use: tell() writes an event, end() the product and the result.
PROLOGUE = """
import json, os, signal, sys, time
os.chdir(sys.argv[1])
def tell(kind, **data):
    with open("events.jsonl", "a") as file:
        file.write(json.dumps({"at": "2026-03-01T12:00:00+00:00", "type": kind, **data}) + "\\n")
def end(result):
    os.makedirs("output", exist_ok=True)
    open("output/manifest.json", "w").write("{}")
    open("result.json", "w").write(json.dumps(result))
def obey():
    signal.signal(signal.SIGTERM, lambda *_: (tell("cancelled"), os._exit(130)))
def defy():
    signal.signal(signal.SIGTERM, lambda *_: tell("note", text="no"))
def stay():
    tell("stage", name="ready")
    for _ in range(200):
        time.sleep(0.05)
"""


@pytest.fixture(autouse=True)
def quick(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    settings.RUN_HEARTBEAT = 0.1
    settings.RUN_GRACE = 0.3
    monkeypatch.setattr(local, "POLL", 0.01)
    yield
    local.stopping.clear()


@pytest.fixture
def run() -> Run:
    return runs.queue_run(kind=RunKind.IMPORT_POLICY, params={"source": "tiny"}, inputs={"name": "V0"})


@pytest.fixture
def play(run: Run, monkeypatch: pytest.MonkeyPatch) -> Play:
    """Launch the run with a script in the place of the real process."""

    def play(script: str) -> Run:
        def start(follower: Any, log_file: Any) -> subprocess.Popen[bytes]:
            command = [sys.executable, "-S", "-c", PROLOGUE + script, str(follower.run.folder)]
            return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log_file, stderr=subprocess.STDOUT)

        monkeypatch.setattr(local._Follower, "_start", start)
        execute_run(run.pk)
        run.refresh_from_db()
        return run

    return play


@pytest.fixture
def when_ready(run: Run, monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Do something once the process has said that it is ready."""

    def arrange(act: Callable[[], object]) -> None:
        real, acted = runs.beat_run, threading.Event()

        def beat(**arguments: Any) -> RunState:
            state = real(**arguments)
            if arguments["run"].stage == "ready" and not acted.is_set():
                acted.set()
                act()
            return state

        monkeypatch.setattr(runs, "beat_run", beat)

    return arrange


def test_a_process_that_ends_well_leaves_a_policy(play: Play) -> None:
    run = play("tell('stage', name='copy'); end({'parameters': 3})")
    assert (run.state, run.result, run.claim) == (RunState.SUCCEEDED, {"parameters": 3}, None)
    policy = PolicyVersion.objects.get()
    assert (policy.name, policy.path, policy.run) == ("V0", f"runs/{run.uid}/output", str(run.uid))


def test_the_spec_holds_all_that_the_process_needs(play: Play) -> None:
    run = play("end({})")
    spec = json.loads((run.folder / "spec.json").read_text())
    assert spec["kind"] == "import_policy"
    assert spec["params"] == {"source": "tiny", "template": "model"}


def test_a_later_attempt_keeps_the_spec_of_the_first(run: Run) -> None:
    path = kinds.write_spec(run)
    before = path.read_bytes()
    run.params = {"source": "other"}
    assert kinds.write_spec(run).read_bytes() == before


def test_what_it_prints_is_in_the_log(play: Play) -> None:
    run = play("print('hello'); end({})")
    assert (run.folder / "log.txt").read_text() == "hello\n"


def test_work_that_says_no_fails_with_its_sentence(play: Play) -> None:
    run = play("tell('failed', message='The source is a pickle.'); sys.exit(2)")
    assert (run.state, run.message) == (RunState.FAILED, "The source is a pickle.")


def test_code_that_breaks_errs_with_its_sentence(play: Play) -> None:
    run = play("tell('errored', message='KeyError: 1'); sys.exit(1)")
    assert (run.state, run.message) == (RunState.ERRORED, "KeyError: 1")


def test_a_process_that_ends_without_a_word_points_to_the_log(play: Play) -> None:
    assert play("sys.exit(2)").message == "It ended without saying why; see the log."


def test_the_words_of_an_earlier_attempt_explain_nothing(play: Play) -> None:
    run = play("tell('failed', message='The disk was full.'); sys.exit(2)")
    runs.retry_run(run=run)
    assert play("sys.exit(2)").message == "It ended without saying why; see the log."


def test_last_words_behind_megabytes_of_notes_are_heard(play: Play) -> None:
    run = play(
        "for _ in range(700): tell('note', text='x' * 3900)\ntell('failed', message='Enough.'); sys.exit(2)"
    )
    assert run.message == "Enough."
    assert run.events.filter(type="note").count() == 700
    assert run.events_read == (run.folder / "events.jsonl").stat().st_size


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("sys.exit(75)", "Its process ended with exit code 75."),
        ("sys.exit(130)", "Its process ended with exit code 130."),
        (
            "os.kill(os.getpid(), signal.SIGKILL)",
            "Its process was killed by SIGKILL; often the machine was short of memory.",
        ),
        ("os.kill(os.getpid(), 40)", "Its process was killed by signal 40"),
    ],
)
def test_a_lost_process_gives_the_run_back(play: Play, script: str, reason: str) -> None:
    run = play(script)
    assert (run.state, run.attempt) == (RunState.QUEUED, 1)
    assert run.message.startswith(reason)


def test_a_run_whose_process_is_lost_each_time_is_given_up(play: Play, settings: Any) -> None:
    settings.RUN_ATTEMPTS = 2
    play("sys.exit(75)")
    run = play("sys.exit(75)")
    assert run.state == RunState.ERRORED
    assert run.message.startswith("Lost 2 times and given up")


def test_a_cancel_ends_a_process_that_listens(
    play: Play, run: Run, when_ready: Callable[[Callable[[], object]], None]
) -> None:
    when_ready(lambda: runs.cancel_run(run=Run.objects.get(pk=run.pk)))
    run = play("obey(); stay()")
    assert run.state == RunState.CANCELLED
    assert run.events.filter(type="cancelled").exists()


def test_a_cancel_kills_a_process_that_does_not_listen_after_the_grace(
    play: Play, run: Run, when_ready: Callable[[Callable[[], object]], None]
) -> None:
    when_ready(lambda: runs.cancel_run(run=Run.objects.get(pk=run.pk)))
    began = time.monotonic()
    run = play("defy(); stay()")
    assert run.state == RunState.CANCELLED
    assert 0.3 <= time.monotonic() - began < 8
    assert [event.data["text"] for event in run.events.filter(type="note")] == ["no"]


def test_work_that_says_no_while_it_is_cancelled_is_heard(
    play: Play, run: Run, when_ready: Callable[[Callable[[], object]], None]
) -> None:
    when_ready(lambda: runs.cancel_run(run=Run.objects.get(pk=run.pk)))
    run = play(
        "signal.signal(signal.SIGTERM, lambda *_: (tell('failed', message='No pairs.'), os._exit(2))); stay()"
    )
    assert (run.state, run.message) == (RunState.FAILED, "No pairs.")


def test_a_worker_that_stops_gives_its_run_back_without_counting_a_loss(
    play: Play, when_ready: Callable[[Callable[[], object]], None]
) -> None:
    when_ready(local.stopping.set)
    run = play("obey(); stay()")
    assert (run.state, run.attempt) == (RunState.QUEUED, 0)
    assert run.message == "The worker shut down; the run goes on when one starts."


def test_a_run_that_went_to_another_launcher_is_killed_here_and_stores_nothing(
    play: Play, run: Run, when_ready: Callable[[Callable[[], object]], None]
) -> None:
    def take_away() -> None:
        runs.release_run(run=Run.objects.get(pk=run.pk), reason="Silent.")
        runs.claim_run(pk=run.pk)

    when_ready(take_away)
    began = time.monotonic()
    run = play("stay()\nend({})")
    assert time.monotonic() - began < 8
    assert (run.state, run.attempt, run.result) == (RunState.RUNNING, 2, {})
    assert not PolicyVersion.objects.exists()


def test_a_database_that_hiccups_costs_a_beat_and_no_event(
    play: Play, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, left = runs.beat_run, [2]

    def beat(**arguments: Any) -> RunState:
        if arguments["events"] and left[0]:
            left[0] -= 1
            raise OperationalError("database is locked")
        return real(**arguments)

    monkeypatch.setattr(runs, "beat_run", beat)
    run = play("tell('note', text='kept'); time.sleep(0.4); end({})")
    assert run.state == RunState.SUCCEEDED
    assert [event.data for event in run.events.filter(type="note")] == [{"text": "kept"}]


def test_a_name_that_was_taken_meanwhile_fails_the_run_and_keeps_its_files(play: Play) -> None:
    make_policy("V0")
    run = play("end({})")
    assert run.state == RunState.FAILED
    assert "was registered meanwhile" in run.message
    assert (run.folder / "output" / "manifest.json").exists()


def test_a_result_that_cannot_be_stored_errs_and_can_be_retried(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    def register(run: Run, outcome: kinds.Outcome) -> None:
        raise ZeroDivisionError("by zero")

    with monkeypatch.context() as broken:
        broken.setattr(kinds, "register", register)
        run = play("end({})")
    assert (run.state, run.message) == (RunState.ERRORED, "Its result could not be stored: by zero")
    runs.retry_run(run=run)
    assert play("sys.exit(0)").state == RunState.SUCCEEDED


def test_a_process_without_a_result_has_not_succeeded(play: Play) -> None:
    assert play("sys.exit(0)").state == RunState.ERRORED


@pytest.mark.parametrize(
    ("error", "state", "message"),
    [
        (ConflictError("The folder is gone."), RunState.FAILED, "The folder is gone."),
        (KeyError("x"), RunState.ERRORED, "Could not be prepared: 'x'"),
    ],
)
def test_a_run_that_cannot_be_prepared_ends_with_the_reason(
    play: Play, monkeypatch: pytest.MonkeyPatch, error: Exception, state: RunState, message: str
) -> None:
    def write_spec(run: Run) -> Path:
        raise error

    monkeypatch.setattr(kinds, "write_spec", write_spec)
    run = play("end({})")
    assert (run.state, run.message) == (state, message)


def test_a_process_that_cannot_be_started_gives_the_run_back(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(*arguments: object) -> None:
        raise OSError("Resource temporarily unavailable")

    monkeypatch.setattr(local._Follower, "_start", start)
    execute_run(run.pk)
    run.refresh_from_db()
    assert (run.state, run.attempt) == (RunState.QUEUED, 1)
    assert "could not be started" in run.message


def test_the_process_sees_no_secrets_and_has_a_session_of_its_own(
    run: Run, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    seen: dict[str, Any] = {}

    class Popen:
        def __init__(self, command: list[str], **options: Any) -> None:
            seen.update(options, command=command)

    monkeypatch.setattr("training.launchers.local.subprocess.Popen", Popen)
    settings.RUN_ENVIRONMENT = {"PATH": "/bin"}
    local._Follower(run, Path("spec.json"))._start(None)
    assert seen["env"] == {"PATH": "/bin"}
    assert seen["start_new_session"] is True
    assert seen["command"][-1] == "--tied"


def test_by_default_a_run_has_one_process(run: Run) -> None:
    assert local._Follower(run, Path("spec.json")).alone


def test_what_a_run_made_is_in_the_shared_storage_before_its_row_says_so(
    play: Play, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.MARGIN_STORE = f"file://{tmp_path}/shared"
    stored: list[bool] = []
    real = runs.end_run

    def end(**arguments: Any) -> Run:
        stored.append(
            (tmp_path / "shared/runs" / str(arguments["run"].uid) / "output/manifest.json").exists()
        )
        return real(**arguments)

    monkeypatch.setattr(runs, "end_run", end)
    assert play("end({})").state == RunState.SUCCEEDED
    assert stored == [True]


def test_a_storage_that_cannot_be_opened_errs_and_can_be_retried(play: Play, settings: Any) -> None:
    settings.MARGIN_STORE = "nowhere://bucket"
    run = play("end({})")
    assert run.state == RunState.ERRORED
    assert "The shared storage at nowhere://… cannot be opened" in run.message
    settings.MARGIN_STORE = ""
    runs.retry_run(run=run)
    assert play("sys.exit(0)").state == RunState.SUCCEEDED


def test_a_launcher_beats_while_it_copies(run: Run, settings: Any) -> None:
    settings.RUN_HEARTBEAT = 0.0
    held = runs.claim_run(pk=run.pk)
    assert held is not None
    before = held.heartbeat_at
    local._Alive(held)()
    held.refresh_from_db()
    assert held.heartbeat_at is not None
    assert before is not None
    assert held.heartbeat_at > before
    runs.release_run(run=Run.objects.get(pk=run.pk), reason="Silent.")
    with pytest.raises(ClaimLostError):
        local._Alive(held)()
