"""Two processes of a real `accelerate launch` on a CPU: how they end, and what becomes of the run."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from pytest_django import Settings

from training.core import launch_plan
from training.core.launch_plan import Place, commands_of
from training.core.spec import RunKind
from training.core.states import RunState
from training.launchers import local
from training.models import Run
from training.services import kinds, runs
from training.tasks import execute_run
from training.tests import several

pytestmark = [pytest.mark.process, pytest.mark.django_db]

PATIENCE = 120.0  # seconds
Play = Callable[..., Run]


@pytest.fixture(autouse=True)
def two_processes(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    settings.RUN_PROCESSES = 2
    settings.RUN_HEARTBEAT = 0.2
    monkeypatch.setattr(launch_plan, "CLI", "training.tests.several")
    yield
    local.stopping.clear()


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Play:
    """Launch a run of the toy; what it was given is written as it stands, and nothing is registered."""

    def play(**inputs: Any) -> Run:
        run = runs.queue_run(
            kind=RunKind.TRAIN_REWARD_MODEL, params={"focus": "safety", "recipe": "lora"}, inputs=inputs
        )

        def write_spec(run: Run) -> Path:
            run.folder.mkdir(parents=True, exist_ok=True)
            return _written(run.folder / "wanted.json", **run.inputs)

        def collect(run: Run) -> kinds.Outcome:
            return kinds.Outcome(json.loads((run.folder / "result.json").read_text()), None)

        monkeypatch.setattr(kinds, "write_spec", write_spec)
        monkeypatch.setattr(kinds, "collect", collect)
        monkeypatch.setattr(kinds, "register", lambda run, outcome: None)
        execute_run(run.pk)
        run.refresh_from_db()
        return run

    return play


def _written(path: Path, **inputs: Any) -> Path:
    path.write_text(json.dumps(several.spec(**inputs)))
    return path


def test_two_processes_end_as_one_run(play: Play) -> None:
    run = play(steps=3)
    # 1 + 2 of two processes, three times.
    assert (run.state, run.result) == (RunState.SUCCEEDED, {"total": 9.0, "processes": 2})
    assert (run.folder / "output/total.txt").read_text() == "9.0"


def test_work_that_says_no_fails_with_its_sentence_though_accelerate_says_1(play: Play) -> None:
    run = play(fail="The snapshot holds no pairs.")
    assert (run.state, run.message) == (RunState.FAILED, "The snapshot holds no pairs.")


def test_a_process_that_dies_takes_the_others_along_and_gives_the_run_back(play: Play) -> None:
    run = play(steps=1000, pause=0.05, dies=1)
    assert (run.state, run.attempt) == (RunState.QUEUED, 1)
    assert run.message == "One of its processes was lost, and the others with it; the log says which."
    assert _gone(run.folder)


def test_a_cancel_reaches_every_process(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    real = runs.beat_run

    def beat(**arguments: Any) -> RunState:
        state = real(**arguments)
        if arguments["run"].stage == "ready" and state == RunState.RUNNING:
            runs.cancel_run(run=Run.objects.get(pk=arguments["run"].pk))
        return state

    monkeypatch.setattr(runs, "beat_run", beat)
    run = play(steps=10_000, pause=0.02)
    assert run.state == RunState.CANCELLED
    assert run.events.filter(type="cancelled").count() == 1
    assert _gone(run.folder)


def test_all_of_them_end_when_the_launcher_is_gone_even_if_accelerate_was_killed(tmp_path: Path) -> None:
    spec, out = _written(tmp_path / "wanted.json", steps=10_000, pause=0.02), tmp_path / "run"
    params = several.spec()["params"]
    (command,) = commands_of(
        RunKind.TRAIN_REWARD_MODEL, params, Place(2), spec=str(spec), out=str(out), tied=True
    )
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT)
    _wait(lambda: '"ready"' in _events(out))
    assert len(_pids(out)) == 2
    process.kill()
    process.wait()
    assert process.stdin is not None
    process.stdin.close()  # what the kernel does when the launcher dies
    _wait(lambda: _gone(out))


def _events(out: Path) -> str:
    file = out / "events.jsonl"
    return file.read_text() if file.exists() else ""


def _pids(out: Path) -> list[int]:
    return [int(file.read_text()) for file in out.glob("process-*")]


def _gone(out: Path) -> bool:
    return not any(psutil.pid_exists(pid) and not _is_zombie(pid) for pid in _pids(out))


def _is_zombie(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _wait(until: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not until():
        assert time.monotonic() < deadline, "it does not get on"
        time.sleep(0.05)
