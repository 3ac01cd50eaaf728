"""PPO in a process of its own, with real reward models, killed again and again."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from annotation.core.grades import Focus
from rewardmodel.core.backbone import PolicyRef
from training.core.events import read_events
from training.tests import ppo_examples
from training.tests.jobs import files_of, write_lines

pytestmark = pytest.mark.process

PATIENCE = 120.0


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sums come in the same order in every process."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def _spec(tmp_path: Path, tiny: PolicyRef, reward_models: dict[Focus, Path]) -> Path:
    models = {
        str(focus): {"name": str(focus), "path": str(path), "backbone": tiny.to_json()}
        for focus, path in reward_models.items()
    }
    prompts = write_lines(tmp_path / "prompts.jsonl", ppo_examples.lines())
    inputs: dict[str, Any] = {"name": "v2", "policy": tiny.to_json(), "prompts": str(prompts), **models}
    file = {"kind": "ppo", "seed": 5, "device": "cpu", "code_version": "1", "inputs": inputs}
    path = tmp_path / "spec.json"
    path.write_text(json.dumps(file | {"params": ppo_examples.SMALL | {"iterations": 6}}))
    return path


def _started(spec: Path, out: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "training.core.cli", "--spec", str(spec), "--out", str(out)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _count(out: Path, kind: str, name: str) -> int:
    file = out / "events.jsonl"
    events = read_events(file)[0] if file.exists() else []
    return sum(event.type == kind and event.data.get("name") == name for event in events)


def _wait_for(process: subprocess.Popen[bytes], out: Path, kind: str, name: str, count: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while _count(out, kind, name) < count:
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline, "it does not get on"
        time.sleep(0.005)


def test_killed_at_several_instants_it_ends_with_the_bytes_of_an_undisturbed_run(
    tmp_path: Path, tiny: PolicyRef, reward_models: dict[Focus, Path]
) -> None:
    spec = _spec(tmp_path, tiny, reward_models)
    whole, out = tmp_path / "whole", tmp_path / "killed"
    assert _started(spec, whole).wait(PATIENCE) == 0
    # Once it has measured its start, after an iteration, and while it writes.
    for kind, name, count in [
        ("metric", "held_out_reward", 1),
        ("metric", "reward", 3),
        ("stage", "write", 1),
    ]:
        process = _started(spec, out)
        _wait_for(process, out, kind, name, count)
        process.kill()
        assert process.wait(PATIENCE) == -signal.SIGKILL
        assert not (out / "result.json").exists()
    assert _started(spec, out).wait(PATIENCE) == 0
    assert (out / "result.json").read_bytes() == (whole / "result.json").read_bytes()
    assert files_of(out / "output") == files_of(whole / "output")
