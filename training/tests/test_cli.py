"""The process of a run from inside: specs, crashes at every single step, and what is not imported."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from training.core import cli
from training.core.events import Event, read_events
from training.core.spec import RunKind
from training.tests import toy


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "run"


def _written(directory: Path, spec: dict[str, Any]) -> Path:
    path = directory / "wanted.json"
    path.write_text(json.dumps(spec))
    return path


def _events(out: Path) -> list[Event]:
    return read_events(out / "events.jsonl")[0]


def _types(out: Path) -> list[str]:
    return [event.type for event in _events(out)]


def _products(out: Path) -> list[bytes]:
    return [(out / name).read_bytes() for name in ("result.json", "output/value.txt", "spec.json")]


class Crash(BaseException):
    """Stands for a kill, at one exact instant."""


def test_killed_at_each_single_step_towards_the_disk_it_ends_with_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = _written(tmp_path, toy.spec(steps=2))
    left = [-1]  # steps towards the disk until the crash; below 0: none

    def crashing(step: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            left[0] -= 1
            if left[0] == 0:
                raise Crash
            return step(*arguments, **options)

        return call

    for place, name in (
        (os, "fsync"),
        (os, "write"),
        (Path, "replace"),
        (Path, "rename"),
        (shutil, "rmtree"),
    ):
        monkeypatch.setattr(place, name, crashing(getattr(place, name)))

    def attempt(out: Path, steps: int) -> int:
        left[0] = steps
        return cli.main(["--spec", str(spec), "--out", str(out)], registry=toy.REGISTRY)

    assert attempt(tmp_path / "undisturbed", -1) == 0
    wanted = _products(tmp_path / "undisturbed")
    crashes = 0
    while True:
        out = tmp_path / f"crash{crashes}"
        try:
            assert attempt(out, crashes + 1) == 0
            break
        except Crash:
            crashes += 1
        assert attempt(out, -1) == 0
        assert _products(out) == wanted
    assert crashes > 20


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"params": {"top_p": 2}}, "top_p: Input should be less than or equal to 1"),
        ({"params": {"topp": 1}}, "topp: Extra inputs are not permitted"),
        ({"kind": "dance"}, "kind: Input should be"),
    ],
)
def test_a_spec_that_cannot_be_used_fails_and_says_why(
    tmp_path: Path, out: Path, change: dict[str, Any], message: str
) -> None:
    path = _written(tmp_path, toy.spec() | change)
    assert cli.main(["--spec", str(path), "--out", str(out)], registry=toy.REGISTRY) == 2
    assert message in _events(out)[-1].data["message"]


def test_a_spec_that_is_missing_fails(tmp_path: Path, out: Path) -> None:
    assert cli.main(["--spec", str(tmp_path / "none"), "--out", str(out)], registry=toy.REGISTRY) == 2
    assert _types(out) == ["started", "failed"]


def test_the_spec_may_lie_in_the_folder_already(out: Path) -> None:
    out.mkdir()
    (out / "spec.json").write_text(json.dumps(toy.spec()))
    arguments = ["--spec", str(out / "spec.json"), "--out", str(out)]
    assert cli.main(arguments, registry=toy.REGISTRY) == 0


def test_every_kind_has_its_work() -> None:
    assert set(cli.KINDS) == set(RunKind)


@pytest.mark.parametrize("module", ["spec", "states", "events", "job", "cli", "selection"])
def test_what_the_web_process_reads_imports_no_torch(module: str) -> None:
    code = (
        f"import sys, training.core.{module}; "
        "sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_finished_folder_is_answered_without_importing_torch(tmp_path: Path, out: Path) -> None:
    out.mkdir()
    (out / "result.json").write_text("{}")
    code = (
        "import sys; from training.core import cli; code = cli.main(sys.argv[1:]); "
        "sys.exit(code or 'torch' in sys.modules)"
    )
    command = [sys.executable, "-c", code, "--spec", str(tmp_path / "none"), "--out", str(out)]
    assert subprocess.run(command, check=False).returncode == 0
