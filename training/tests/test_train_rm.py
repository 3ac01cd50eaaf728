"""A reward model trained by the process of a run, killed on the way."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from annotation.core.grades import Focus, Grade
from annotation.core.records import Message, PreferenceRecord, content_key, prompt_key
from rewardmodel.core.backbone import PolicyRef
from rewardmodel.core.files import verify_manifest
from rewardmodel.tests.examples import write_snapshot
from training.core.events import read_events

PAIRS = 12


@pytest.fixture
def snapshot(tmp_path: Path) -> Path:
    """Twelve helpfulness pairs, the last two held out."""
    return write_snapshot(tmp_path / "snapshot", [_record(number) for number in range(PAIRS)])


def _record(number: int) -> PreferenceRecord:
    question = f"Question {number}?"
    messages: tuple[Message, ...] = ({"role": "user", "content": question},)
    return PreferenceRecord(
        id=content_key("comparison", number),
        prompt=prompt_key(question),
        dialogue=content_key("dialogue", question),
        batch="week-1",
        focus=Focus.HELPFULNESS,
        split="train" if number < PAIRS - 2 else "test",
        messages=messages,
        chosen=f"A good answer to {number}.",
        rejected="No!",
        grade=Grade.BETTER,
        margin=2 / 3,
        safety=None,
        judgments=1,
        weight=1.0,
        chosen_policy="v1",
        rejected_policy="v0",
    )


def _spec(tmp_path: Path, tiny: PolicyRef, snapshot: Path) -> Path:
    inputs = {"snapshot": str(snapshot), "backbone": tiny.to_json(), "name": "helpful"}
    params = {"focus": "helpfulness", "recipe": "probe"}
    spec: dict[str, Any] = {"kind": "train_reward_model", "seed": 0, "code_version": "1", "device": "cpu"}
    path = tmp_path / "wanted.json"
    path.write_text(json.dumps(spec | {"params": params, "inputs": inputs}))
    return path


def _start(spec: Path, out: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "training.core.cli", "--spec", str(spec), "--out", str(out)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _wait_for_stage(process: subprocess.Popen[bytes], out: Path, name: str) -> None:
    deadline = time.monotonic() + 240
    while not any(event.data.get("name") == name for event in read_events(out / "events.jsonl")[0]):
        assert process.poll() is None, f"the process ended before it came to {name}"
        assert time.monotonic() < deadline, f"the process does not come to {name}"
        time.sleep(0.005)


@pytest.mark.process
def test_a_reward_model_whose_training_was_killed_is_the_one_of_an_undisturbed_run(
    tmp_path: Path, tiny: PolicyRef, snapshot: Path
) -> None:
    spec = _spec(tmp_path, tiny, snapshot)
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    process = _start(spec, killed)
    _wait_for_stage(process, killed, "load")
    process.kill()
    assert process.wait() in {-signal.SIGKILL, 0}
    for out in (killed, whole):
        assert _start(spec, out).wait(timeout=120) == 0
    assert (killed / "result.json").read_bytes() == (whole / "result.json").read_bytes()
    assert verify_manifest(killed / "output") == verify_manifest(whole / "output")
    assert json.loads((whole / "result.json").read_text())["metrics"]["pairs"] == 2
