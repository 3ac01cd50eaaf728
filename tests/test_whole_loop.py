"""The whole loop on a tiny model: real processes, real kills, the same result."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.house import House, build_house, kill_each_once

pytestmark = pytest.mark.process

KINDS = {"import_policy", "sample", "train_reward_model", "rejection_sample", "finetune"}


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A house in which the loop has run undisturbed."""
    with build_house(tmp_path_factory.mktemp("calm")) as house:
        house.manage("run_loop", "--model", "tiny", "--seed", "3")
        yield house


@pytest.fixture(scope="module")
def stormy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[House, list[str]]]:
    """A house in which the first process of every kind of run was killed, and the worker and the loop too."""
    with build_house(tmp_path_factory.mktemp("stormy")) as house:
        killed = [*_run_until(house, "train_reward_model"), *_run_until(house, None)]
        yield house, killed


def _run_until(house: House, kind: str | None) -> list[str]:
    """Run the loop under fire; kill the loop itself with kill -9 when a run of `kind` begins."""
    loop = house.start("run_loop", "--model", "tiny", "--seed", "3")
    words: list[str] = []

    def pick(process: psutil.Process) -> str | None:
        line = process.cmdline()
        if "training.core.cli" in line:
            word = _kind_of(Path(line[line.index("--spec") + 1]))
            if word == kind:
                loop.kill()
            return word
        if "celery" in line and "train_reward_model" in words:
            return "worker"
        return None

    killed = kill_each_once(loop, lambda p: _note(words, pick(p)))
    output = loop.communicate(timeout=60)[0]
    assert kind is not None or loop.returncode == 0, output
    return killed


def _kind_of(spec: Path) -> str:
    return str(json.loads(spec.read_text())["kind"])


def _note(words: list[str], word: str | None) -> str | None:
    if word is not None:
        words.append(word)
    return word


def without_times(summary: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in summary.items() if key != "seconds"}


def test_best_of_k_scores_above_the_mean(calm: House) -> None:
    selection = calm.summary()["selection"]
    assert selection["best_score"] > selection["mean_score"]


def test_killing_everything_changes_nothing(calm: House, stormy: tuple[House, list[str]]) -> None:
    assert without_times(stormy[0].summary()) == without_times(calm.summary())


def test_killing_everything_doubles_no_judgment(calm: House, stormy: tuple[House, list[str]]) -> None:
    data = [f"annotation.{name}" for name in ("Prompt", "Response", "Comparison", "Judgment", "Lease")]
    assert stormy[0].counts(*data) == calm.counts(*data)


@pytest.mark.loop
def test_every_kind_of_run_was_killed_once(stormy: tuple[House, list[str]]) -> None:
    assert KINDS | {"worker"} <= set(stormy[1])


@pytest.mark.loop
def test_the_loop_closes_and_leaves_pairs_for_people(stormy: tuple[House, list[str]]) -> None:
    summary = stormy[0].summary()
    assert summary["iteration"] == "V1"
    assert summary["next_batch"]["name"] == "Week 2"
    assert summary["next_batch"]["comparisons"] > 0
    assert set(summary["reward_models"]) == {"helpfulness-V1", "safety-V1"}


@pytest.mark.loop
def test_each_thing_was_made_once(stormy: tuple[House, list[str]]) -> None:
    # Import, two samplings, two reward models, selection, fine-tuning: seven runs. V0 and V1. This week and next.
    assert stormy[0].counts(
        "training.Run",
        "training.PolicyVersion",
        "rewardmodel.RewardModelVersion",
        "training.Iteration",
        "annotation.Batch",
        "annotation.Snapshot",
    ) == {
        "training.Run": 7,
        "training.PolicyVersion": 2,
        "rewardmodel.RewardModelVersion": 2,
        "training.Iteration": 2,
        "annotation.Batch": 2,
        "annotation.Snapshot": 1,
    }
