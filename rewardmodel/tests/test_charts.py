"""Curves for TensorBoard: every point once, whoever was killed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from rewardmodel.core import tuning
from rewardmodel.core.backbone import PolicyRef
from rewardmodel.core.charts import charted
from rewardmodel.core.report import Silent
from rewardmodel.core.tuning import tune
from rewardmodel.tests.examples import Notes
from rewardmodel.tests.pairs import plan_of, tiny_network, training_pairs


def points(folder: Path, name: str = "loss") -> list[int]:
    """Steps of a curve as TensorBoard reads it."""
    events: Any = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    reader = events.EventAccumulator(str(folder))
    reader.Reload()
    return [event.step for event in reader.Scalars(name)]


def test_a_point_is_told_and_drawn(tmp_path: Path) -> None:
    notes = Notes()
    with charted(notes, tmp_path) as charts:
        charts.metric("loss", 0.5, 1)
    assert notes.metrics == [("loss", 0.5, 1)]
    assert points(tmp_path) == [1]


class KilledError(BaseException):
    """Stands for kill -9: nothing catches it."""


class Dies(Silent):
    """Dies while the n-th step is told, behind its point."""

    def __init__(self, at: int) -> None:
        self.at = at

    def progress(self, done: int, total: int, unit: str) -> None:
        if done == self.at:
            raise KilledError


def test_a_resumed_run_goes_on_without_a_double_or_a_missing_point(
    tiny: PolicyRef, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuning, "CHECKPOINT_SECONDS", 0.0)
    pairs, plan = training_pairs(tiny, 12), plan_of(pairs_per_step=2)
    for at in (3, 4):  # step 3 is drawn, and drawn again: its checkpoint was not yet written
        with pytest.raises(KilledError):
            tune(tiny_network(tiny), pairs, plan, work=tmp_path, report=Dies(at))
    tune(tiny_network(tiny), pairs, plan, work=tmp_path, report=Silent())
    assert points(tmp_path / "tensorboard") == [1, 2, 3, 4, 5, 6]


def test_a_run_resumed_in_the_same_second_is_still_the_later_one(tmp_path: Path) -> None:
    with charted(Silent(), tmp_path) as charts:
        charts.metric("loss", 0.5, 1)
    [first] = tmp_path.glob("events.*")
    second, rest = first.name.removeprefix("events.out.tfevents.").split(".", 1)
    first.rename(first.with_name(f"events.out.tfevents.{second}.zz{rest}"))  # a process with a later id
    with charted(Silent(), tmp_path, after=1) as charts:
        charts.metric("loss", 0.5, 2)
    assert points(tmp_path) == [1, 2]


def test_without_tensorboard_everything_else_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    notes = Notes()
    with charted(notes, tmp_path / "tensorboard") as charts:
        charts.metric("loss", 0.5, 1)
        charts.flush()
    assert notes.metrics == [("loss", 0.5, 1)]
    assert not (tmp_path / "tensorboard").exists()
