"""Training in real processes: several at once, and one that is killed again and again."""

from __future__ import annotations

import json
import multiprocessing
import signal
import subprocess
import sys
import time
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from rewardmodel.core.backbone import PolicyRef
from rewardmodel.tests import processes
from rewardmodel.tests.examples import make_record, write_snapshot

pytestmark = pytest.mark.process

PATIENCE = 240.0  # seconds
FULL: dict[str, Any] = {"recipe": "full", "learning_rate": 0.003, "tokens_per_batch": 100}
TWO = ["--multi_gpu", "--num_processes", "2", "--num_machines", "1", "--main_process_port", "0"]
LAUNCH = ["-m", "accelerate.commands.launch", *TWO, "--mixed_precision", "no", "--dynamo_backend", "no"]


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    records = [make_record(n) for n in range(24)] + [make_record(100 + n, split="test") for n in range(4)]
    return write_snapshot(tmp_path_factory.mktemp("snapshots") / "week-1", records)


def run(folder: Path, tiny: PolicyRef, snapshot: Path, *launcher: str, **options: Any) -> dict[str, Any]:
    """Train in `folder` in a process, or in those of a launcher; the weights in the end."""
    folder.mkdir()
    request = folder / "request.json"
    request.write_text(json.dumps(processes.request_of(folder, snapshot, tiny, **FULL, **options)))
    command = [sys.executable, *launcher, "-m", "rewardmodel.tests.processes", str(request)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert ended.returncode == 0, ended.stderr
    return load_file(folder / "output/model/model.safetensors") | load_file(
        folder / "output/head.safetensors"
    )


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, tiny: PolicyRef, snapshot: Path) -> dict[str, Any]:
    """The weights after six steps of eight pairs in one process."""
    folder = tmp_path_factory.mktemp("alone") / "run"
    return run(folder, tiny, snapshot, pairs_per_step=8, epochs=2)


@pytest.mark.parametrize("sharded", [False, True], ids=["whole", "sharded"])
def test_two_processes_make_the_model_that_one_makes(
    tmp_path: Path, tiny: PolicyRef, snapshot: Path, alone: dict[str, Any], sharded: bool
) -> None:
    folder = tmp_path / "two"
    found = run(folder, tiny, snapshot, *LAUNCH, sharded=sharded, pairs_per_step=8, epochs=2)
    assert sorted(path.name for path in folder.glob("process-*")) == ["process-0-of-2", "process-1-of-2"]
    assert (folder / "diary").stat().st_size == 6  # one of the two reports
    for name, expected in alone.items():
        # Sums in another order; where a weight is near 0 the rounding of its neighbours counts.
        bound = 1e-5 * float(expected.abs().max())
        torch.testing.assert_close(found[name], expected, rtol=1e-5, atol=bound)


def test_killed_at_ten_random_instants_it_ends_with_the_bits_of_an_undisturbed_run(
    tmp_path: Path, tiny: PolicyRef, snapshot: Path
) -> None:
    context = multiprocessing.get_context("forkserver")  # forks are ready at once: torch is loaded once
    context.set_forkserver_preload(["rewardmodel.tests.processes"])
    params = {**FULL, "pairs_per_step": 2, "epochs": 6}  # 72 steps
    killed, whole = (
        processes.request_of(tmp_path / name, snapshot, tiny, **params) for name in ("killed", "whole")
    )
    assert _ended(_started(context, whole)) == 0
    random = np.random.default_rng(6)
    for _ in range(10):
        steps, seconds = int(random.integers(0, 6)), float(random.uniform(0, 0.05))
        process = _started(context, killed)
        _wait_for_steps(process, tmp_path / "killed/diary", steps)
        time.sleep(seconds)
        process.kill()
        assert _ended(process) == -signal.SIGKILL
    assert not (tmp_path / "killed/output").exists()
    assert _ended(_started(context, killed)) == 0
    for name in ("work/tuning.safetensors", "output/model/model.safetensors", "output/head.safetensors"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def _started(context: ForkServerContext, request: dict[str, Any]) -> BaseProcess:
    process = context.Process(target=processes.train, args=(request,))
    process.start()
    return process


def _ended(process: BaseProcess) -> int | None:
    process.join(PATIENCE)
    return process.exitcode


def _wait_for_steps(process: BaseProcess, diary: Path, steps: int) -> None:
    """Wait until the process has done so many steps more than its predecessors."""
    before = _size(diary)
    deadline = time.monotonic() + PATIENCE
    while _size(diary) < before + steps:
        assert process.is_alive(), "it ended before it could be killed"
        assert time.monotonic() < deadline, "it does not get on"
        time.sleep(0.001)


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0
