"""Runs that several processes share, from outside: deaths of leader and workers, joining, cancelling."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from annotation.core.grades import Focus
from rewardmodel.core.backbone import PolicyRef
from training.core import rejection
from training.core.events import Event, read_events
from training.core.spec import RunFile, RunKind
from training.tests import toy_shards
from training.tests.jobs import files_of, make_job, write_lines

pytestmark = pytest.mark.process

Process = subprocess.Popen[bytes]
Start = Callable[..., Process]

SLOW = {"pause": 0.12}


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a process of a shared run; whatever still lives at the end of the test is killed."""
    running: list[Process] = []

    def start(*arguments: str, module: str = toy_shards.MODULE) -> Process:
        process = subprocess.Popen([sys.executable, "-m", module, *arguments], stdin=subprocess.PIPE)
        running.append(process)
        return process

    yield start
    for process in running:
        process.kill()
        process.wait()


def _leader(start: Start, out: Path, *options: str, **inputs: Any) -> Process:
    spec = out.with_name(f"{out.name}.json")
    spec.write_text(json.dumps(toy_shards.spec(**inputs)))
    return start("--spec", str(spec), "--out", str(out), *options)


def _computed(out: Path) -> list[tuple[int, int, int]]:
    """(first item, worker, process) of every chunk computed so far."""
    path = out / "computed.txt"
    lines = path.read_text().splitlines() if path.exists() else []
    return [(int(a), int(b), int(c)) for a, b, c in map(str.split, lines)]


def _until(ready: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + 120
    while not (found := ready()):
        assert time.monotonic() < deadline, what
        time.sleep(0.01)
    return found


def _lives(pid: int) -> bool:
    # Where nobody reaps orphans a dead process stays as a zombie.
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


def _has_computed(out: Path, chunks: int) -> bool:
    return len(_computed(out)) >= chunks


def _are_dead(pids: set[int]) -> bool:
    return not any(map(_lives, pids))


def _process_of(out: Path, worker: int) -> int:
    """The process that computes as `worker`, once all three compute."""
    _until(lambda: len({w for _, w, _ in _computed(out)}) == 3, "not every worker computes")
    return next(pid for _, w, pid in reversed(_computed(out)) if w == worker)


def _notes(out: Path) -> list[str]:
    events: list[Event] = read_events(out / "events.jsonl")[0]
    return [event.data["text"] for event in events if event.type == "note"]


def test_a_shared_run_ends_like_one_of_a_single_process(start: Start, tmp_path: Path) -> None:
    assert _leader(start, tmp_path / "shared", **SLOW).wait(120) == 0
    assert _leader(start, tmp_path / "alone", workers=1).wait(120) == 0
    assert files_of(tmp_path / "shared" / "output") == files_of(tmp_path / "alone" / "output")
    chunks = [chunk for chunk, _, _ in _computed(tmp_path / "shared")]
    assert sorted(chunks) == list(range(0, 48, 2)), "each chunk is computed once"


def test_killed_leaders_and_workers_change_nothing(start: Start, tmp_path: Path) -> None:
    out = tmp_path / "shared"
    for chunks in (4, 10):
        leader = _leader(start, out, **SLOW)
        _until(partial(_has_computed, out, chunks), "the run does not get on")
        workers = {pid for _, worker, pid in _computed(out) if worker}
        leader.kill()
        leader.wait()
        _until(partial(_are_dead, workers), "a worker outlives its leader")
    leader = _leader(start, out, **SLOW)
    os.kill(_process_of(out, 2), signal.SIGKILL)
    assert leader.wait(120) == 0
    assert _leader(start, tmp_path / "alone", workers=1).wait(120) == 0
    assert files_of(out / "output") == files_of(tmp_path / "alone" / "output")


def test_a_worker_that_dies_is_started_again(start: Start, tmp_path: Path) -> None:
    out = tmp_path / "shared"
    leader = _leader(start, out, pause=0.4)
    os.kill(_process_of(out, 1), signal.SIGKILL)
    assert leader.wait(120) == 0
    assert _notes(out) == ["Worker 1 ended with code -9 and is started again."]
    assert len({pid for _, worker, pid in _computed(out) if worker == 1}) == 2


def test_a_worker_that_always_dies_is_given_up_and_the_others_do_its_share(
    start: Start, tmp_path: Path
) -> None:
    out = tmp_path / "shared"
    assert _leader(start, out, workers=2, breaks=1, pause=0.5).wait(120) == 0
    assert [note.partition(" code ")[2] for note in _notes(out)] == [
        *["9 and is started again."] * 3,
        "9 once too often: the others do its share.",
    ]
    assert {worker for _, worker, _ in _computed(out)} == {0}


def test_cancelling_reaches_all(start: Start, tmp_path: Path) -> None:
    out = tmp_path / "shared"
    leader = _leader(start, out, **SLOW)
    worker = _process_of(out, 2)
    leader.terminate()
    assert leader.wait(30) == 130
    assert not _lives(worker)
    assert len(_computed(out)) < toy_shards.CHUNKS
    assert read_events(out / "events.jsonl")[0][-1].type == "cancelled"


def test_the_launchers_death_ends_all(start: Start, tmp_path: Path) -> None:
    out = tmp_path / "shared"
    leader = _leader(start, out, "--tied", **SLOW)
    worker = _process_of(out, 1)
    assert leader.stdin is not None
    leader.stdin.close()
    assert leader.wait(30) == 70
    _until(lambda: not _lives(worker), "a worker outlives the launcher")


def _join(start: Start, out: Path) -> Process:
    return start("--out", str(out), "--index", "5", "--count", "3")


def test_a_worker_from_elsewhere_joins_and_leaves_when_nothing_is_left(start: Start, tmp_path: Path) -> None:
    out = tmp_path / "shared"
    leader = _leader(start, out, workers=1, pause=0.3)
    _until(lambda: _computed(out), "the run does not begin")
    joined = _join(start, out)
    assert (joined.wait(120), leader.wait(120)) == (0, 0)
    assert {worker for _, worker, _ in _computed(out)} == {0, 5}
    assert sorted(chunk for chunk, _, _ in _computed(out)) == list(range(0, 48, 2))


def test_a_worker_from_elsewhere_stops_when_nobody_leads(start: Start, tmp_path: Path) -> None:
    out = tmp_path / "shared"
    leader = _leader(start, out, workers=1, pause=0.3)
    _until(lambda: _computed(out), "the run does not begin")
    joined = _join(start, out)
    _until(lambda: any(worker == 5 for _, worker, _ in _computed(out)), "the worker does not join")
    leader.kill()
    assert joined.wait(30) == 130
    assert _join(start, out).wait(30) == 75


def test_a_run_of_models_shared_and_killed_selects_what_one_process_selects(
    start: Start, tmp_path: Path, tiny: PolicyRef, reward_models: dict[Focus, Path]
) -> None:
    prompts = [
        {
            "dialogue": f"d{number}",
            "messages": [{"role": "user", "content": f"Question {number}?"}],
            "focus": Focus.SAFETY if number % 3 == 0 else Focus.HELPFULNESS,
        }
        for number in range(12)
    ]
    old = {**prompts[1], "text": "An old answer.", "score": 9.0, "finish_reason": "stop", "policy": "V1"}
    earlier = {"file": str(write_lines(tmp_path / "old.jsonl", [old])), "from": "first", "iteration": 1}
    judges = {
        str(focus): {"name": str(focus), "path": str(path), "backbone": tiny.to_json()}
        for focus, path in reward_models.items()
    }
    inputs = {
        "policy": tiny.to_json(),
        "prompts": str(write_lines(tmp_path / "prompts.jsonl", prompts)),
        "bank": [earlier],
        **judges,
    }
    params = {"temperatures": [0.8, 1.2], "max_new_tokens": 8}

    shared = tmp_path / "shared"
    file = RunFile(
        kind=RunKind.REJECTION_SAMPLE,
        seed=5,
        device="cpu",
        code_version="1",
        params={**params, "workers": 2},
        inputs=inputs,
    )
    path = tmp_path / "spec.json"
    path.write_text(file.model_dump_json())
    command = ("--spec", str(path), "--out", str(shared))

    leader = start(*command, module="training.core.cli")
    _until(lambda: list(shared.glob("work/samples/*.jsonl")), "nothing is drawn")
    leader.kill()
    leader.wait()
    leader = start(*command, module="training.core.cli")
    _until(lambda: list(shared.glob("work/helpfulness/*.jsonl")), "nothing is scored")
    for worker in _children(leader.pid):
        os.kill(worker, signal.SIGKILL)
    assert leader.wait(240) == 0
    alone = make_job(tmp_path / "alone", RunKind.REJECTION_SAMPLE, params, inputs)
    result = rejection.run(alone)
    assert files_of(shared / "output") == files_of(alone.output)
    assert json.loads((shared / "result.json").read_text()) == json.loads(json.dumps(result))
    assert {"candidates.jsonl", "winners.jsonl", "bank.jsonl"} <= files_of(shared / "output").keys()


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
