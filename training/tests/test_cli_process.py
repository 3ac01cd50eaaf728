"""The process of a run from outside: kills, locks, signals, the launcher's death."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from training.core import cli
from training.core.events import Event, read_events
from training.tests import toy

pytestmark = pytest.mark.process

Start = Callable[..., "subprocess.Popen[str]"]

SLOW = {"steps": 40, "pause": 0.03}


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "run"


@pytest.fixture
def start(tmp_path: Path, out: Path) -> Iterator[Start]:
    """Start the toy process; whatever still lives at the end of the test is killed."""
    running: list[subprocess.Popen[str]] = []

    def start(*options: str, **inputs: Any) -> subprocess.Popen[str]:
        process = _popen("training.tests.toy", _written(tmp_path, toy.spec(**inputs)), out, *options)
        running.append(process)
        return process

    yield start
    for process in running:
        process.kill()
        process.wait()


def _written(directory: Path, spec: dict[str, Any]) -> Path:
    path = directory / "wanted.json"
    path.write_text(json.dumps(spec))
    return path


def _popen(module: str, spec: Path, out: Path, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", module, "--spec", str(spec), "--out", str(out), *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _code(process: subprocess.Popen[str]) -> int:
    return process.wait(timeout=30)


def _events(out: Path) -> list[Event]:
    return read_events(out / "events.jsonl")[0]


def _types(out: Path) -> list[str]:
    return [event.type for event in _events(out)]


def _wait_for_metrics(out: Path, count: int) -> None:
    deadline = time.monotonic() + 120
    while _types(out).count("metric") < count:
        assert time.monotonic() < deadline, "the process does not get on"
        time.sleep(0.01)


def _products(out: Path) -> list[bytes]:
    return [(out / name).read_bytes() for name in ("result.json", "output/value.txt", "spec.json")]


def test_a_run_leaves_its_result_its_product_and_its_story(start: Start, out: Path) -> None:
    assert _code(start()) == 0
    assert json.loads((out / "result.json").read_text())["value"] == (out / "output/value.txt").read_text()
    types = _types(out)
    assert (types[0], types[-1]) == ("started", "finished")
    assert _events(out)[0].data["attempt"] == 1


def test_a_result_that_is_there_is_not_computed_again(start: Start, out: Path) -> None:
    out.mkdir()
    (out / "result.json").write_text("{}")
    assert _code(start()) == 0
    assert [path.name for path in out.iterdir()] == ["result.json"]


def test_killed_at_any_moment_the_same_command_ends_with_the_same_bytes(
    start: Start, out: Path, tmp_path: Path
) -> None:
    for metrics in (1, 9, 17):
        process = start(**SLOW)
        _wait_for_metrics(out, metrics)
        process.kill()
        assert _code(process) == -signal.SIGKILL
        assert not (out / "result.json").exists()
    assert _code(start(**SLOW)) == 0

    whole = _popen("training.tests.toy", tmp_path / "wanted.json", tmp_path / "undisturbed")
    assert _code(whole) == 0
    assert _products(out) == _products(tmp_path / "undisturbed")
    assert [event.data["attempt"] for event in _events(out) if event.type == "started"] == [1, 2, 3, 4]
    steps = [event.data["step"] for event in _events(out) if event.type == "metric"]
    assert sorted(set(steps)) == list(range(40))


def test_a_second_process_on_the_same_folder_leaves_it_alone(start: Start, out: Path) -> None:
    first = start(**SLOW)
    _wait_for_metrics(out, 1)
    second = start(**SLOW)
    assert _code(second) == 75
    assert first.poll() is None
    assert _types(out).count("started") == 1


def test_a_process_that_waited_finds_the_finished_work_and_does_not_repeat_it(
    tmp_path: Path, out: Path
) -> None:
    spec = _written(tmp_path, toy.spec(steps=10, pause=0.05))
    first = _popen("training.tests.toy", spec, out)
    _wait_for_metrics(out, 1)
    arguments = ["--spec", str(spec), "--out", str(out)]
    assert cli.main(arguments, registry=toy.REGISTRY, lock_seconds=20) == 0
    assert _code(first) == 0
    assert _types(out).count("started") == 1


def test_a_tied_process_ends_with_its_launcher_and_lets_go_of_the_folder(start: Start, out: Path) -> None:
    tied = start("--tied", **SLOW)
    _wait_for_metrics(out, 1)
    assert tied.stdin is not None
    tied.stdin.close()  # what the kernel does when the launcher dies
    assert _code(tied) == 70
    assert not (out / "result.json").exists()
    assert _code(start(**SLOW)) == 0


def test_a_killed_launcher_takes_its_process_with_it(tmp_path: Path, out: Path) -> None:
    spec = _written(tmp_path, toy.spec(steps=2000, pause=0.05))
    command = [sys.executable, "-m", "training.tests.toy", "--spec", str(spec), "--out", str(out), "--tied"]
    code = "import subprocess, sys; subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE).wait()"
    launcher = subprocess.Popen([sys.executable, "-c", code, *command])
    _wait_for_metrics(out, 1)
    pid = _events(out)[0].data["pid"]
    launcher.kill()
    launcher.wait()
    _wait_for_the_end_of(pid)


def _wait_for_the_end_of(pid: int) -> None:
    deadline = time.monotonic() + 120
    while _lives(pid):
        assert time.monotonic() < deadline, "the process outlives its launcher"
        time.sleep(0.02)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # Where nobody reaps orphans a dead process stays as a zombie.
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"


def test_an_untied_process_does_not_mind_a_closed_input(start: Start, out: Path) -> None:
    process = start(steps=3)
    assert process.stdin is not None
    process.stdin.close()
    assert _code(process) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_cancelled_run_stops_at_its_checkpoint_and_goes_on_from_there(
    start: Start, out: Path, number: signal.Signals
) -> None:
    process = start(**SLOW)
    _wait_for_metrics(out, 2)
    process.send_signal(number)
    assert _code(process) == 130
    assert _types(out)[-1] == "cancelled"
    done = _types(out).count("metric")
    assert _code(start(**SLOW)) == 0
    assert _types(out).count("metric") == 40, f"{done} steps were done before and are not repeated"


def test_work_that_says_no_fails_with_its_message(start: Start, out: Path) -> None:
    assert _code(start(fail="the snapshot holds no pairs")) == 2
    assert (_events(out)[-1].type, _events(out)[-1].data) == (
        "failed",
        {"message": "the snapshot holds no pairs"},
    )


def test_code_that_breaks_errs_with_one_line_and_a_traceback_in_the_log(start: Start, out: Path) -> None:
    process = start(**{"break": "by\nzero"})
    log, _ = process.communicate(timeout=30)
    assert process.returncode == 1
    assert (_events(out)[-1].type, _events(out)[-1].data) == ("errored", {"message": "ZeroDivisionError: by"})
    assert "Traceback" in log


def test_a_folder_that_belongs_to_other_work_is_refused(start: Start, out: Path) -> None:
    assert _code(start(fail="first")) == 2
    assert _code(start(fail="second")) == 2
    assert "another spec" in _events(out)[-1].data["message"]
