"""`manage.py evaluate_reward_model` and `score_file`: what they refuse at once, and what a process of its own does."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from io import StringIO
from pathlib import Path
from typing import Any

import psutil
import pytest
from django.core.management import CommandError, call_command
from pytest_django import Settings

from annotation.core.grades import Focus
from annotation.core.records import canonical_json
from annotation.models import Snapshot
from rewardmodel.core.backbone import PolicyRef
from rewardmodel.models import RewardModelVersion
from rewardmodel.tests.judge_server import JudgeHouse, likes
from tests.factories import make_policy
from tests.house import ROOT
from training.launchers.asking import ChildFailedError, ask_child

PAIR = {"prompt": "Question 0?", "chosen": "Sure, right away!", "rejected": "No.", "subset": "hep-go"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "pairs.jsonl"
    path.write_text(json.dumps(PAIR) + "\n")
    return path


@pytest.fixture
def version(db: None, home: Path, reward_models: dict[Focus, Path], tiny: PolicyRef) -> RewardModelVersion:
    """A trained version whose folders lie below MARGIN_HOME by links."""
    (home / "model").symlink_to(reward_models[Focus.HELPFULNESS])
    (home / "policy").symlink_to(tiny.path)
    make_policy("tiny", path="policy")
    return RewardModelVersion.objects.create(
        name="helpful-V1",
        focus=Focus.HELPFULNESS,
        recipe="probe",
        backbone="tiny",
        path="model",
        sha256="0" * 64,
        run="r",
        snapshot=Snapshot.objects.create(name="s", sha256="0" * 64, path="s"),
    )


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What children would have been asked; none is started."""
    calls: list[dict[str, Any]] = []
    counts = {"ties": 0, "no_choice": 0, "undecided": 0, "bad_rows": 0, "bad": [], "unratable": []}
    document = {
        "reader": {"name": "x"},
        "file": {"name": "y", "format": "z"},
        "accuracy": 0.5,
        "low": 0.1,
        "high": 0.9,
        "pairs": 1,
        "length": None,
        "people": None,
        "ties": 0,
        "by_grade": {},
        "by_subset": {},
        "left_out": counts,
    }

    def ask(module: str, spec: dict[str, Any], *, secrets: dict[str, str] | None = None) -> dict[str, Any]:
        calls.append({"module": module, **spec, "secrets": secrets})
        return document | {"rows": 1, "responses": 2}

    for command in ("evaluate_reward_model", "score_file"):
        monkeypatch.setattr(f"training.management.commands.{command}.ask_child", ask)
    return calls


def evaluate(*arguments: Any, **options: Any) -> str:
    out = StringIO()
    words = [str(argument) for argument in arguments]
    call_command("evaluate_reward_model", *words, stdout=out, stderr=StringIO(), **options)
    return out.getvalue()


def test_a_version_is_named_to_the_process_by_its_folders(
    version: RewardModelVersion, home: Path, file: Path, asked: list[dict[str, Any]]
) -> None:
    evaluate("helpful-V1", file, "--format", "rewardbench", "--limit", 7)
    reference = asked[0]["reward_model"]
    assert reference["path"] == str(home / "model")
    assert reference["backbone"] == {"name": "tiny", "path": str(home / "policy"), "base": None}
    assert (asked[0]["file"], asked[0]["limit"], asked[0]["out"]) == (str(file), 7, None)


def test_a_directory_is_named_with_its_backbone_and_no_database(
    reward_models: dict[Focus, Path], tiny: PolicyRef, file: Path, asked: list[dict[str, Any]]
) -> None:
    directory = reward_models[Focus.SAFETY]
    evaluate(directory, file, "--format", "rewardbench", "--backbone", tiny.path)
    assert asked[0]["reward_model"]["path"] == str(directory)
    assert asked[0]["reward_model"]["backbone"]["path"] == str(tiny.path)


def test_a_directory_finds_its_policy_by_name(
    version: RewardModelVersion,
    reward_models: dict[Focus, Path],
    home: Path,
    file: Path,
    asked: list[dict[str, Any]],
) -> None:
    evaluate(reward_models[Focus.SAFETY], file, "--format", "rewardbench")
    assert asked[0]["reward_model"]["name"] == "safety"
    assert asked[0]["reward_model"]["backbone"]["path"] == str(home / "policy")


def test_a_key_reaches_the_process_by_the_pipe_alone(
    file: Path, asked: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOUSE_JUDGE", "open sesame")
    judge = ("--judge", "http://127.0.0.1:9", "--judge-model", "big", "--judge-key-env", "HOUSE_JUDGE")
    said = evaluate(file, "--format", "rewardbench", *judge)
    assert asked[0]["secrets"] == {"judge_key": "open sesame"}
    assert "sesame" not in canonical_json({k: v for k, v in asked[0].items() if k != "secrets"}) + said


def test_without_a_variable_the_key_is_that_of_the_host(
    file: Path, asked: list[dict[str, Any]], settings: Settings
) -> None:
    settings.RESPONSE_SERVER_KEYS = {"judge.example": "one", "other.example": "two"}
    evaluate(file, "--format", "rewardbench", "--judge", "https://judge.example/v1", "--judge-model", "big")
    assert asked[0]["secrets"] == {"judge_key": "one"}


def test_a_judges_answers_are_kept_in_one_place_for_all_files(
    home: Path, file: Path, asked: list[dict[str, Any]]
) -> None:
    for _ in range(2):
        evaluate(file, "--format", "rewardbench", "--judge", "http://127.0.0.1:9", "--judge-model", "big")
    places = {call["out"] for call in asked}
    assert len(places) == 1
    assert places.pop().startswith(str(home / "judged"))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nobody", "FILE"], "There is no reward model named 'nobody', and no directory of one there."),
        (["FILE"], "Name a reward model before the file"),
        (["x", "missing.jsonl"], "There is no file missing.jsonl."),
        (["FILE", "--judge", "http://a"], "--judge and --judge-model go together."),
        (
            ["FILE", "--judge", "http://a", "--judge-model", "b", "--judge-key-env", "NOT_SET_AT_ALL"],
            "The variable NOT_SET_AT_ALL is not set or empty.",
        ),
        (["x", "FILE", "--mapping", "{"], "--mapping is no JSON"),
        (["x", "FILE", "--mapping", "[]"], "--mapping must be a JSON object."),
        (["x", "FILE", "--backbone", "nowhere"], "There is no reward model named 'x'"),
    ],
)
def test_bad_arguments_are_a_sentence(
    db: None, file: Path, asked: list[dict[str, Any]], arguments: list[str], says: str
) -> None:
    words = [str(file) if word == "FILE" else word for word in arguments]
    with pytest.raises(CommandError, match="^" + says.replace(".", r"\.").replace("{", r"\{")):
        evaluate(*words, "--format", "rewardbench")
    assert asked == []


def test_a_model_whose_policy_nobody_knows_wants_its_directory(
    db: None, reward_models: dict[Focus, Path], file: Path, asked: list[dict[str, Any]]
) -> None:
    with pytest.raises(CommandError, match=r"stands on tiny, .* with --backbone"):
        evaluate(reward_models[Focus.SAFETY], file, "--format", "rewardbench")


def test_a_policys_directory_is_no_reward_model(
    db: None, tiny: PolicyRef, file: Path, asked: list[dict[str, Any]]
) -> None:
    with pytest.raises(CommandError, match="is not the directory of a reward model"):
        evaluate(tiny.path, file, "--format", "rewardbench")


def test_rows_are_scored_into_the_file_that_was_named(
    version: RewardModelVersion, tmp_path: Path, file: Path, asked: list[dict[str, Any]]
) -> None:
    call_command("score_file", "helpful-V1", str(file), str(tmp_path / "out.jsonl"), stdout=StringIO())
    assert (asked[0]["module"], asked[0]["out"]) == (
        "rewardmodel.core.score_file",
        str(tmp_path / "out.jsonl"),
    )


@pytest.mark.process
def test_json_is_one_document_and_a_table_says_the_same(version: RewardModelVersion, file: Path) -> None:
    found = json.loads(evaluate("helpful-V1", file, "--format", "rewardbench", "--json", "--device", "cpu"))
    assert (found["pairs"], found["reader"]["name"]) == (1, "helpful-V1")
    table = evaluate("helpful-V1", file, "--format", "rewardbench", "--device", "cpu")
    assert table.startswith("helpful-V1 on pairs.jsonl (rewardbench)\n")
    assert f"{100 * found['accuracy']:.1f} %" in table


@pytest.mark.process
def test_a_judge_alone_needs_no_reward_model(file: Path) -> None:
    with JudgeHouse(likes("right")) as house:
        judge = ("--judge", house.url, "--judge-model", "big")
        found = json.loads(evaluate(file, "--format", "rewardbench", "--json", *judge))
    assert (found["accuracy"], found["judge"]["same"]) == (1.0, 1)


@pytest.mark.process
def test_a_failure_of_the_process_is_its_sentence(file: Path) -> None:
    file.write_text("{broken\n")
    judge = ("--judge", "http://127.0.0.1:9", "--judge-model", "big")
    with pytest.raises(CommandError, match="holds no pair of the format rewardbench: 1 bad rows"):
        evaluate(file, "--format", "rewardbench", *judge)


@pytest.mark.process
def test_a_file_is_scored(version: RewardModelVersion, tmp_path: Path) -> None:
    asked = [{"role": "user", "content": "Question 1?"}]
    rows = [{"messages": asked, "responses": ["Gladly, here it is.", "Go away, you fool!!"], "id": 1}]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    out = StringIO()
    call_command(
        "score_file", "helpful-V1", str(tmp_path / "in.jsonl"), str(tmp_path / "out.jsonl"), stdout=out
    )
    assert out.getvalue().startswith("2 responses in 1 rows, written to ")
    (row,) = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert len(row["rewards"]) == 2
    assert {name: row[name] for name in rows[0]} == rows[0]


def a_module(tmp_path: Path, settings: Settings, body: str) -> str:
    """A child of a test's own."""
    (tmp_path / "toy_child.py").write_text(body)
    settings.RUN_ENVIRONMENT = {"PYTHONPATH": str(tmp_path)}
    return "toy_child"


@pytest.mark.process
@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("import sys; sys.exit(1)", "The process broke with exit code 1; the reason is above."),
        ("print('{}, nothing else')", "The process broke with exit code 0"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "The process was ended by SIGKILL"),
        ('import sys; print(\'{"error": "No."}\'); sys.exit(2)', "^No\\.$"),
    ],
)
def test_a_process_that_breaks_is_said_to_have(
    tmp_path: Path, settings: Settings, body: str, says: str
) -> None:
    module = a_module(tmp_path, settings, body)
    with pytest.raises(ChildFailedError, match=says):
        ask_child(module, {})


@pytest.mark.process
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda s: s.name)
def test_the_process_ends_with_the_command_however_that_ends(tmp_path: Path, number: signal.Signals) -> None:
    """Ctrl-C is one of the ways; nobody is left to stop it after a kill."""
    script = tmp_path / "parent.py"
    script.write_text(
        "import django; django.setup()\n"
        "from django.conf import settings\n"
        f"settings.RUN_ENVIRONMENT = {{'PYTHONPATH': {str(tmp_path)!r}}}\n"
        "from training.launchers.asking import ask_child\n"
        "ask_child('toy_child', {})\n"
    )
    (tmp_path / "toy_child.py").write_text(
        "import pathlib, sys, time\n"
        "from rewardmodel.core import child\n"
        "def work(*_):\n"
        f"    pathlib.Path({str(tmp_path / 'begun')!r}).write_text('yes')\n"
        "    time.sleep(600)\n"
        "if __name__ == '__main__':\n"
        "    sys.exit(child.run(sys.argv[1:], name='toy_child', work=work))\n"
    )
    place = ["env", f"PYTHONPATH={ROOT}", "DJANGO_SETTINGS_MODULE=config.settings"]
    parent = subprocess.Popen([*place, sys.executable, str(script)], cwd=ROOT, stderr=subprocess.DEVNULL)
    try:
        wait_for((tmp_path / "begun").exists)
        (child,) = psutil.Process(parent.pid).children()
        parent.send_signal(number)
        parent.wait(30)
        wait_for(lambda: is_gone(child))
    finally:
        parent.kill()
        parent.wait()


def is_gone(process: psutil.Process) -> bool:
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def wait_for(happened: Any) -> None:
    deadline = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.05)
