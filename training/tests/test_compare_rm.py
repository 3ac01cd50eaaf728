"""Two reward models compared: what training is told of the current one, and the run that compares any two."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from annotation.core.grades import Focus
from annotation.core.states import SnapshotState
from annotation.errors import ConflictError
from annotation.models import Batch, Snapshot, User
from rewardmodel.core.backbone import PolicyRef
from rewardmodel.core.report import RunFailedError
from rewardmodel.models import RewardModelComparison, RewardModelVersion
from rewardmodel.services import override_promotion
from rewardmodel.standing import standing_of
from rewardmodel.tests.examples import make_record, write_snapshot
from rewardmodel.tests.promoted import figures, trained
from tests.factories import make_batch, make_policy
from training import overview
from training.core import compare_rm
from training.core.events import EventWriter
from training.core.job import Job
from training.core.spec import RunFile, RunKind
from training.core.states import RunState
from training.errors import NotReadyError
from training.forms import FORMS
from training.models import PolicyVersion, Run
from training.queries import named_inputs
from training.services import kinds, runs
from training.services.start import start_compare_reward_models, start_instead, start_train_reward_model

H, S = Focus


@pytest.fixture
def snapshot(db: None) -> Snapshot:
    return Snapshot.objects.create(
        name="week-1", sha256="0" * 64, rows=1, path="snapshots/week-1", state=SnapshotState.READY
    )


@pytest.fixture
def policy(home: Path, db: None) -> PolicyVersion:
    (home / "runs/V0").mkdir(parents=True)
    return make_policy("V0")


@pytest.fixture
def two(snapshot: Snapshot, policy: PolicyVersion, home: Path) -> list[RewardModelVersion]:
    """The current one and one that waits; their folders hold nothing."""
    for name in ("h1", "h2"):
        (home / "runs" / name).mkdir(parents=True)
    return [trained("h1"), trained("h2")]


def train_run(snapshot: Snapshot, policy: PolicyVersion, name: str = "h3", **more: Any) -> Run:
    params = {"focus": "helpfulness"}
    return start_train_reward_model(name=name, snapshot=snapshot, backbone=policy, params=params, **more)


def inputs(run: Run) -> dict[str, Any]:
    """What the run's process reads."""
    given: dict[str, Any] = json.loads(kinds.write_spec(run).read_text())["inputs"]
    return given


@pytest.fixture
def no_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The snapshot's files are not looked for."""
    for kind in ("train_reward_model", "compare_reward_models"):
        monkeypatch.setattr(f"training.services.kinds.{kind}.local_folder", lambda snapshot: tmp_path)


# What training is told


def test_training_is_compared_with_what_was_current_when_it_was_queued(
    two: list[RewardModelVersion], snapshot: Snapshot, policy: PolicyVersion, no_folder: None, rosa: User
) -> None:
    run = train_run(snapshot, policy)
    override_promotion(version=two[1], reason="Meanwhile.", by=rosa)
    assert run.inputs["current"] == two[0].pk
    current = inputs(run)["current"]
    assert (current["name"], current["sha256"]) == ("h1", two[0].sha256)
    assert current["backbone"]["name"] == "V0"
    assert named_inputs(run)["current"] == "h1"
    assert "h1" in [row.value for row in overview.inputs_of(run)]


def test_the_first_of_a_focus_is_compared_with_nothing(
    snapshot: Snapshot, policy: PolicyVersion, no_folder: None
) -> None:
    run = train_run(snapshot, policy)
    assert "current" not in run.inputs
    assert "current" not in inputs(run)


def test_a_current_model_whose_folder_is_gone_does_not_keep_training_from_its_start(
    two: list[RewardModelVersion], snapshot: Snapshot, policy: PolicyVersion, no_folder: None, home: Path
) -> None:
    shutil.rmtree(home / "runs/h1")
    told = inputs(train_run(snapshot, policy))["current"]
    assert told["name"] == "h1"
    assert "runs/h1 is missing" in told["gone"]


def test_a_current_model_whose_backbone_is_unknown_does_not_either(
    two: list[RewardModelVersion], snapshot: Snapshot, policy: PolicyVersion, no_folder: None
) -> None:
    RewardModelVersion.objects.filter(pk=two[0].pk).update(backbone="elsewhere")
    assert "gone" in inputs(train_run(snapshot, policy))["current"]


def test_another_try_of_a_stage_may_meet_another_current_model(
    two: list[RewardModelVersion], snapshot: Snapshot, policy: PolicyVersion, rosa: User
) -> None:
    old = train_run(snapshot, policy, key="V1/train")
    Run.objects.filter(pk=old.pk).update(state=RunState.FAILED)
    override_promotion(version=two[1], reason="Meanwhile.", by=rosa)
    new = start_instead(old=old, start=lambda: train_run(snapshot, policy, "h4"))
    assert (new.key, new.inputs["current"]) == ("V1/train", two[1].pk)


# Starting a comparison


def compare_run(version: RewardModelVersion, snapshot: Snapshot, **more: Any) -> Run:
    return start_compare_reward_models(version=version, snapshot=snapshot, params={}, **more)


def test_it_is_the_current_one_that_a_version_is_compared_with(
    two: list[RewardModelVersion], snapshot: Snapshot, no_folder: None
) -> None:
    run = compare_run(two[1], snapshot)
    assert run.inputs == {"reward_model": two[1].pk, "against": two[0].pk, "snapshot": snapshot.pk}
    given = inputs(run)
    assert (given["candidate"]["name"], given["current"]["name"]) == ("h2", "h1")
    assert given["focus"] == "helpfulness"


def test_what_cannot_be_compared_is_refused_before_it_is_queued(
    two: list[RewardModelVersion], snapshot: Snapshot
) -> None:
    with pytest.raises(ConflictError, match="with itself"):
        compare_run(two[0], snapshot)
    safe = trained("s1", focus=S)
    with pytest.raises(ConflictError, match="choose a helpfulness model"):
        compare_run(two[1], snapshot, against=safe)
    Snapshot.objects.update(state=SnapshotState.WRITING)
    snapshot.refresh_from_db()
    with pytest.raises(NotReadyError, match="compare on one that is ready"):
        compare_run(two[1], snapshot)
    assert not Run.objects.exists()


def test_a_comparison_is_kept_and_decides_nothing_by_itself(
    two: list[RewardModelVersion], snapshot: Snapshot, home: Path
) -> None:
    held = runs.claim_run(pk=compare_run(two[1], snapshot).pk)
    assert held is not None
    held.folder.mkdir(parents=True)
    (held.folder / "result.json").write_text(json.dumps(figures(drawn=40)))
    outcome = kinds.collect(held)
    runs.end_run(run=held, state=RunState.SUCCEEDED, register=lambda: kinds.register(held, outcome))
    row = RewardModelComparison.objects.get()
    assert (row.version, row.against, row.snapshot, row.run) == (two[1], two[0], snapshot, str(held.uid))
    standing = standing_of(two[1])
    assert (standing.passes, standing.is_current) == (True, False)


# What its process does


def job(tmp_path: Path, given: dict[str, Any]) -> Job:
    file = RunFile(
        kind=RunKind.COMPARE_REWARD_MODELS, seed=0, device="cpu", code_version="1", params={}, inputs=given
    )
    (tmp_path / "run").mkdir()
    return Job(file, tmp_path / "run", EventWriter(tmp_path / "run" / "events.jsonl"))


def reference(path: Path, tiny: PolicyRef, name: str) -> dict[str, Any]:
    return {"name": name, "path": str(path), "backbone": tiny.to_json(), "sha256": "1" * 64}


def test_both_models_score_the_test_pairs_of_the_focus(
    tmp_path: Path, tiny: PolicyRef, reward_models: dict[Focus, Path]
) -> None:
    split = ["test", "test", "train"]
    records = [make_record(n, split=split[n % 3]) for n in range(9)]  # type: ignore[arg-type]
    records += [make_record(n, split="test", focus=S) for n in range(3)]
    given = {
        "candidate": reference(reward_models[H], tiny, "h2"),
        "current": reference(reward_models[H], tiny, "h1"),
        "focus": "helpfulness",
        "snapshot": str(write_snapshot(tmp_path / "snapshot", records)),
    }
    found = compare_rm.run(job(tmp_path, given))
    assert (found["pairs"], found["difference"]) == (6, 0.0)
    assert found["models"]["candidate"] == {"name": "h2", "sha256": "1" * 64}
    assert found["snapshot"]["name"] == "snapshot"


def test_a_snapshot_without_test_pairs_is_refused_with_what_to_do(tmp_path: Path, tiny: PolicyRef) -> None:
    given = {
        "candidate": {},
        "current": {},
        "focus": "helpfulness",
        "snapshot": str(write_snapshot(tmp_path / "snapshot", [make_record(0)])),
    }
    with pytest.raises(RunFailedError, match="holds no helpfulness pairs to test on"):
        compare_rm.run(job(tmp_path, given))


# Its form, and the forms that choose a model


def test_forms_propose_the_current_model_and_say_so(two: list[RewardModelVersion]) -> None:
    field: Any = FORMS[RunKind.REJECTION_SAMPLE]().fields["helpfulness"]
    labels = [label for _, label in field.choices]
    assert labels == ["h1 (current)", "h2"]
    scored: Any = FORMS[RunKind.SCORE_PAIRS]()
    assert scored["helpfulness"].value() in (two[0], two[0].pk)


def test_the_snapshot_with_the_most_weeks_is_proposed(snapshot: Snapshot) -> None:
    more = Snapshot.objects.create(name="both", sha256="1" * 64, rows=1, state=SnapshotState.READY)
    Snapshot.objects.create(name="later", sha256="2" * 64, rows=1, state=SnapshotState.READY)
    more.batches.add(make_batch())
    assert overview.snapshots_by_weeks().first() == more
    assert Batch.objects.count() == 1


def test_the_page_of_a_version_leads_to_the_form_that_compares_it(
    as_user: Callable[[User], Client], rosa: User, two: list[RewardModelVersion], snapshot: Snapshot
) -> None:
    client = as_user(rosa)
    text = client.get(
        reverse("admin:rewardmodel_rewardmodelversion_change", args=(two[1].pk,))
    ).content.decode()
    place = reverse("admin:training_run_start_kind", args=(RunKind.COMPARE_REWARD_MODELS,))
    assert f'href="{place}?reward_model={two[1].pk}"' in text
    shown = client.get(place, {"reward_model": two[1].pk}).content.decode()
    assert f'<option value="{two[1].pk}" selected>h2</option>' in shown
    sent = {"reward_model": two[1].pk, "against": "", "snapshot": snapshot.pk, "tokens_per_batch": 4096}
    client.post(place, sent)
    assert Run.objects.get().inputs["against"] == two[0].pk
