"""A reward model beside the current one on the same test pairs, by the training itself."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from rewardmodel.core import scorer
from rewardmodel.core.against import CHUNK, against, compare_scored, score_records
from rewardmodel.core.backbone import PolicyRef
from rewardmodel.core.evaluation.pairs import ScoredPair
from rewardmodel.core.files import read_manifest, sha256_of
from rewardmodel.core.report import RunCancelledError, RunFailedError
from rewardmodel.core.spec import TrainRewardModelSpec
from rewardmodel.core.train import train
from rewardmodel.tests.examples import Notes, make_record, write_snapshot

SPEC = TrainRewardModelSpec(focus="helpfulness", max_length=256)


class Made:
    """A scorer that gives a response the reward that its length says; counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    def score(self, groups: Sequence[Any]) -> list[list[float]]:
        self.asked += 1
        return [[float(len(text)) for text in responses] for _, responses in groups]


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Made:
    model = Made()
    monkeypatch.setattr(scorer, "load", lambda reference, **options: model)
    return model


REFERENCE = {"name": "h1", "sha256": "1" * 64, "path": "/nowhere", "backbone": {}}


def right(count: int) -> list[ScoredPair]:
    """Pairs that the candidate is right about."""
    return [ScoredPair(make_record(number, split="test"), 1.0, 0.0) for number in range(count)]


def compared(own: Sequence[ScoredPair], work: Path, report: Notes, **options: Any) -> dict[str, Any] | None:
    given = {"reference": REFERENCE, "split": "test", "device": "cpu", **options}
    reference = given.pop("reference")
    return against(reference, own, work=work, report=report, **given)


def test_two_models_are_credited_on_the_same_pairs() -> None:
    # The candidate is right, wrong and undecided; the other one right each time: -0, -1, -1/2 of three.
    records = [make_record(number) for number in range(3)]
    own = [ScoredPair(r, *both) for r, both in zip(records, [(1, 0), (0, 1), (2, 2)], strict=True)]
    other = [ScoredPair(r, 1.0, 0.0) for r in records]
    found = compare_scored(own, other)
    assert (found["candidate"], found["current"], found["difference"]) == (0.5, 1.0, -0.5)
    assert found["by_grade"].keys() == {"better"}


def test_a_pair_without_a_grade_has_a_row_of_its_own() -> None:
    pair = ScoredPair(make_record(grade=None), 1.0, 0.0)
    assert compare_scored([pair], [pair])["by_grade"].keys() == {"none"}


def test_the_figures_name_the_other_model_by_its_hash(made: Made, tmp_path: Path) -> None:
    found = compared(right(3), tmp_path, Notes())
    assert found is not None
    assert (found["name"], found["sha256"], found["pairs"]) == ("h1", "1" * 64, 3)
    assert found["drift"]["flips"] == 0
    json.dumps(found, allow_nan=False)


def test_pairs_that_it_learnt_from_compare_nothing(made: Made, tmp_path: Path) -> None:
    found = compared(right(3), tmp_path, Notes(), split="train")
    assert found is not None
    assert (found["pairs"], made.asked) == (0, 0)


def test_what_was_scored_before_a_kill_is_not_scored_again(made: Made, tmp_path: Path) -> None:
    class Killed(Notes):
        def check(self) -> None:
            raise RunCancelledError

    records = [pair.record for pair in right(CHUNK + 1)]
    with pytest.raises(RunCancelledError):
        score_records(REFERENCE, records, device="cpu", work=tmp_path, report=Killed())
    again = score_records(REFERENCE, records, device="cpu", work=tmp_path, report=Notes())
    assert made.asked == 2
    assert [pair.chosen for pair in again] == [float(len(record.chosen)) for record in records]


@pytest.mark.parametrize(
    "error", [RunFailedError("h1 cannot be opened."), RuntimeError("not enough memory"), OSError("gone")]
)
def test_a_current_model_that_cannot_be_scored_with_is_a_note_and_no_failure(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: Exception
) -> None:
    def fail(reference: Any, **options: Any) -> None:
        raise error

    monkeypatch.setattr(scorer, "load", fail)
    report = Notes()
    assert compared(right(1), tmp_path, report) is None
    assert report.notes == [f"It is not compared with h1, which was current: {error}"]


def test_a_current_model_without_files_is_a_note(tmp_path: Path) -> None:
    report = Notes()
    gone = {"name": "h1", "gone": "runs/h1 is missing."}
    assert compared(right(1), tmp_path, report, reference=gone) is None
    assert report.notes == ["It is not compared with h1, which was current: runs/h1 is missing."]


def test_a_reward_that_is_no_number_compares_nothing(made: Made, tmp_path: Path) -> None:
    made.score = lambda groups: [[float("nan"), 0.0] for _ in groups]  # type: ignore[method-assign]
    report = Notes()
    assert compared(right(1), tmp_path, report) is None
    assert "gave no number" in report.notes[0]


def test_training_compares_itself_with_the_current_one(tiny: PolicyRef, tmp_path: Path) -> None:
    """The second one learns from the same data with the same seed, so that the two are equal pair by pair."""
    records = [make_record(n, split="test" if n % 3 == 0 else "train") for n in range(12)]
    snapshot = write_snapshot(tmp_path / "snapshot", records)

    def learn(name: str, **more: Any) -> dict[str, Any]:
        (tmp_path / name / "work").mkdir(parents=True)
        return train(
            spec=SPEC,
            inputs={"snapshot": str(snapshot), "backbone": tiny.to_json(), "name": name, **more},
            seed=0,
            device="cpu",
            code_version="test",
            work=tmp_path / name / "work",
            output=tmp_path / name / "output",
            report=Notes(),
        )

    assert "against" not in learn("first")["metrics"]
    path = tmp_path / "first" / "output"
    current = {
        "name": "first",
        "path": str(path),
        "backbone": tiny.to_json(),
        "sha256": sha256_of(path / "manifest.json"),
    }
    found = learn("second", current=current)["metrics"]["against"]
    assert (found["name"], found["pairs"], found["difference"]) == ("first", 4, 0.0)
    assert read_manifest(tmp_path / "second" / "output")["metrics"]["against"] == found
