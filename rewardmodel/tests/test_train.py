"""Training from a snapshot to a directory: every recipe learns, resumes and says what it leaves out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import torch

from annotation.core.grades import Focus, SafetyLabel
from annotation.core.records import PreferenceRecord
from rewardmodel.core import features, tuning
from rewardmodel.core.artifact import build_network
from rewardmodel.core.backbone import PolicyRef, load_tokenizer
from rewardmodel.core.files import verify_manifest
from rewardmodel.core.losses import margin_losses, safety_losses, weighted_mean
from rewardmodel.core.report import Reporter, RunFailedError, Silent
from rewardmodel.core.rows import RowEncoder
from rewardmodel.core.scorer import load, score_rows
from rewardmodel.core.spec import TrainRewardModelSpec
from rewardmodel.core.train import train
from rewardmodel.core.tuning import TrainingPair, TuningPlan, accumulate
from rewardmodel.tests.examples import Notes, make_record, write_snapshot

RECIPES = ("probe", "lora", "full")


def run(
    tiny: PolicyRef,
    tmp_path: Path,
    records: Sequence[PreferenceRecord],
    *,
    place: str = "run",
    report: Reporter | None = None,
    inputs: dict[str, str] | None = None,
    **params: Any,
) -> tuple[dict[str, Any], Path]:
    """Train on `records`; the result and the reward model's directory."""
    snapshot = tmp_path / "snapshot"
    if not snapshot.exists():
        write_snapshot(snapshot, records)
    spec = TrainRewardModelSpec.model_validate({"focus": "helpfulness", "max_length": 256, **params})
    folder = tmp_path / place
    (folder / "work").mkdir(parents=True, exist_ok=True)
    result = train(
        spec=spec,
        inputs={"snapshot": str(snapshot), "backbone": tiny.to_json(), "name": "helpfulness-V1"}
        | (inputs or {}),
        seed=3,
        device="cpu",
        code_version="test",
        work=folder / "work",
        output=folder / "output",
        report=report or Silent(),
    )
    return result, folder / "output"


def learnable(train_pairs: int = 24, test_pairs: int = 8) -> list[PreferenceRecord]:
    return [make_record(n) for n in range(train_pairs)] + [
        make_record(100 + n, split="test") for n in range(test_pairs)
    ]


def files_of(directory: Path) -> dict[str, bytes]:
    return {
        path.relative_to(directory).as_posix(): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


QUICK: dict[str, dict[str, Any]] = {
    "probe": {},
    "lora": {"learning_rate": 0.02, "pairs_per_step": 8, "epochs": 4},
    "full": {"learning_rate": 0.003, "pairs_per_step": 8, "epochs": 4},
}


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_learns_a_preference_that_can_be_learnt(
    tiny: PolicyRef, tmp_path: Path, recipe: str
) -> None:
    result, output = run(tiny, tmp_path, learnable(), recipe=recipe, **QUICK[recipe])
    assert result["metrics"]["split"] == "test"
    assert result["metrics"]["pairs"] == 8
    assert result["metrics"]["accuracy"] >= 0.9
    manifest = verify_manifest(output)
    assert manifest["kind"] == "reward_model"
    assert manifest["metrics"] == result["metrics"]
    assert manifest["params"]["recipe"] == recipe
    for content in files_of(output).values():
        assert str(tmp_path).encode() not in content
        assert str(tiny.path).encode() not in content


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_same_call_writes_the_same_bytes(tiny: PolicyRef, tmp_path: Path, recipe: str) -> None:
    one = run(tiny, tmp_path, learnable(6, 2), recipe=recipe, **QUICK[recipe])
    other = run(tiny, tmp_path, learnable(6, 2), recipe=recipe, place="again", **QUICK[recipe])
    assert one[0] == other[0]
    assert files_of(one[1]) == files_of(other[1])


class KilledError(BaseException):
    """Stands for kill -9: nothing catches it."""


class Dies(Silent):
    """Dies at the n-th unit of progress of a stage; at the 0th when it begins."""

    def __init__(self, stage: str, at: int) -> None:
        self.fatal, self.at = stage, at
        self.now = ""

    def stage(self, name: str) -> None:
        self.now = name
        self.progress(0, 0, "")

    def progress(self, done: int, total: int, unit: str) -> None:
        if self.now == self.fatal and done >= self.at:
            raise KilledError


DEATHS = {
    "probe": [("read", 3), ("encode", 0), ("encode", 9), ("fit", 1), ("evaluate", 0), ("write", 0)],
    "lora": [("fit", 0), ("fit", 3), ("fit", 8), ("evaluate", 0), ("write", 0)],
    "full": [("fit", 0), ("fit", 3), ("fit", 8), ("evaluate", 0), ("write", 0)],
}


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_killed_run_ends_like_one_that_was_not(
    tiny: PolicyRef, tmp_path: Path, recipe: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features, "CHUNK_TOKENS", 200)
    monkeypatch.setattr(tuning, "CHECKPOINT_SECONDS", 0.0)
    params = {"recipe": recipe, **QUICK[recipe], "tokens_per_batch": 256}
    records = learnable(16, 4)
    expected, reference = run(tiny, tmp_path, records, place="uninterrupted", **params)
    for stage, at in DEATHS[recipe]:
        place = f"killed-{stage}-{at}"
        with pytest.raises(KilledError):
            run(tiny, tmp_path, records, place=place, report=Dies(stage, at), **params)
        result, output = run(tiny, tmp_path, records, place=place, **params)
        assert result == expected
        assert files_of(output) == files_of(reference)


def test_finished_chunks_of_features_are_not_computed_again(
    tiny: PolicyRef, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features, "CHUNK_TOKENS", 200)
    records = learnable(16, 4)
    run(tiny, tmp_path, records, tokens_per_batch=256)
    written = {
        path: path.stat().st_mtime_ns for path in (tmp_path / "run" / "work").rglob("0????.safetensors")
    }
    assert len(written) > 3
    run(tiny, tmp_path, records, tokens_per_batch=256)
    assert written == {path: path.stat().st_mtime_ns for path in written}


@pytest.mark.parametrize("recipe", ["lora", "full"])
def test_eight_pairs_at_once_have_the_gradient_of_one_pair_eight_times(tiny: PolicyRef, recipe: str) -> None:
    spec = TrainRewardModelSpec.model_validate({"focus": "safety", "recipe": recipe})
    tokenizer = load_tokenizer(tiny)
    network = build_network(tiny, spec, pad=256, device=torch.device("cpu"), seed=0)
    signs = [(1, -1), (-1, -1), (0, 0)]
    pairs = []
    for n in range(8):
        pair = RowEncoder(tokenizer, 256).pair(make_record(n))
        assert pair is not None
        weight, (chosen_sign, rejected_sign) = (n % 4 + 1) / 4, signs[n % 3]
        pairs.append(TrainingPair(pair.chosen, pair.rejected, n / 8, weight, chosen_sign, rejected_sign, n))
    found = []
    for tokens in (65536, 64):  # everything in one batch; every pair in one of its own
        plan = TuningPlan(1, 1e-5, 8, tokens, safety_loss_weight=0.5, seed=0)
        network.zero_grad()
        loss = accumulate(network, pairs, plan)
        slope = torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None])
        found.append((loss, slope))
    (one_loss, one), (other_loss, other) = found
    rewards = torch.tensor(score_rows(network, [row for p in pairs for row in (p.chosen, p.rejected)], 4096))
    losses = margin_losses(rewards[::2], rewards[1::2], torch.arange(8) / 8)
    preference = weighted_mean(losses, torch.tensor([pair.weight for pair in pairs]))
    # Labelled are the pairs 0 1 3 4 6 7; of their chosen responses 0, 3 and 6 are safe, no rejected one is.
    labelled = torch.tensor([0, 1, 2, 3, 6, 7, 8, 9, 12, 13, 14, 15])
    safety = safety_losses(rewards[labelled], torch.tensor([1.0, -1.0, -1.0, -1.0] * 3))
    assert one_loss == pytest.approx(float(preference + 0.5 * safety.mean()), rel=1e-5)
    assert one_loss == pytest.approx(other_loss, rel=1e-6)
    assert (one - other).abs().max() <= 1e-5 * one.abs().max()


def test_pairs_that_do_not_fit_are_counted_and_said(tiny: PolicyRef, tmp_path: Path) -> None:
    notes = Notes()
    records = [
        *learnable(5, 2),
        make_record(50, chosen="x" * 999),
        make_record(51, split="test", chosen="x" * 999),
    ]
    result, _ = run(tiny, tmp_path, records, report=notes)
    assert result["mixture"] == {
        "own": 6,
        "other": 0,
        "other_available": 0,
        "too_long": 1,
        "test_too_long": 1,
    }
    assert result["metrics"]["pairs"] == 2
    assert any("1 training and 1 test pairs do not fit into 256 tokens" in note for note in notes.notes)


def test_runs_with_a_common_cache_share_what_a_frozen_backbone_said(
    tiny: PolicyRef, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, reference = run(tiny, tmp_path, learnable(6, 2), place="alone")
    monkeypatch.setattr(features, "read_batches", None)  # whoever computes breaks
    inputs = {"cache": str(tmp_path / "alone" / "work")}
    notes = Notes()
    found, output = run(tiny, tmp_path, learnable(6, 2), place="shares", inputs=inputs, report=notes)
    assert found == expected
    assert files_of(output) == files_of(reference)
    assert "16 of 16 responses were encoded before." in notes.notes


def test_many_pairs_spare_some_to_see_whether_they_are_learnt_by_heart(
    tiny: PolicyRef, tmp_path: Path
) -> None:
    # A twentieth of 660 is 33; every record has a prompt of its own.
    params: dict[str, Any] = {"recipe": "lora", "pairs_per_step": 256, "learning_rate": 0.01}
    result, _ = run(tiny, tmp_path, learnable(660, 2), **params)
    assert result["mixture"]["held_back"] == 33
    watched = result["metrics"]["held_back"]
    assert watched["pairs"] == 33
    assert [point["step"] for point in watched["curve"]] == [1, 2, 3]
    assert watched["overfits"] is False


def test_three_pairs_and_no_test_pairs_are_enough(tiny: PolicyRef, tmp_path: Path) -> None:
    notes = Notes()
    result, output = run(tiny, tmp_path, learnable(3, 0), report=notes)
    assert result["metrics"]["split"] == "train"
    assert result["metrics"]["pairs"] == 3
    assert any("no helpfulness pairs to test with" in note for note in notes.notes)
    assert verify_manifest(output)["focus"] == "helpfulness"


def test_an_empty_focus_learns_from_the_other_and_says_so(tiny: PolicyRef, tmp_path: Path) -> None:
    notes = Notes()
    result, _ = run(tiny, tmp_path, learnable(4, 2), focus="safety", report=notes)
    assert result["mixture"]["own"] == 0
    assert result["mixture"]["other"] == 4
    assert result["metrics"]["accuracy"] is None
    assert result["metrics"]["other_focus"]["pairs"] == 2
    assert any("There are no safety pairs" in note for note in notes.notes)


def test_no_pairs_are_refused_with_what_to_do(tiny: PolicyRef, tmp_path: Path) -> None:
    with pytest.raises(RunFailedError, match="seal their batch, make a snapshot"):
        run(tiny, tmp_path, learnable(0, 3))


def test_pairs_that_are_all_too_long_are_refused_with_what_to_do(tiny: PolicyRef, tmp_path: Path) -> None:
    with pytest.raises(RunFailedError, match="Raise max_length"):
        run(tiny, tmp_path, [make_record(1, chosen="x" * 999)])


def test_a_changed_snapshot_is_refused(tiny: PolicyRef, tmp_path: Path) -> None:
    snapshot = write_snapshot(tmp_path / "snapshot", learnable(3, 0))
    with (snapshot / "data.jsonl").open("a", encoding="utf-8") as file:
        file.write(make_record(9).to_line())
    with pytest.raises(RunFailedError, match="not what its manifest says"):
        run(tiny, tmp_path, [])


def test_safety_labels_give_the_sign_of_the_reward_a_meaning(tiny: PolicyRef, tmp_path: Path) -> None:
    labels = [SafetyLabel.CHOSEN_SAFE] * 24
    records = [make_record(n, focus=Focus.SAFETY, safety=label) for n, label in enumerate(labels)]
    _, output = run(tiny, tmp_path, records, focus="safety", l2=0.01)
    reference = {"name": "safety-V1", "path": str(output), "backbone": tiny.to_json()}
    record = records[0]
    ((chosen, rejected),) = load(reference, device="cpu").score(
        [(record.messages, (record.chosen, record.rejected))]
    )
    assert chosen > 0 > rejected


def test_the_margin_table_is_not_ignored(tiny: PolicyRef, tmp_path: Path) -> None:
    heads = []
    for table in ("none", "large"):
        _, output = run(tiny, tmp_path, learnable(8, 0), place=table, margin_table=table)
        heads.append((output / "head.safetensors").read_bytes())
    assert heads[0] != heads[1]


def test_an_epoch_sees_every_pair_once_in_an_order_of_its_seed() -> None:
    plan = TuningPlan(2, 1e-5, 4, 64, safety_loss_weight=1.0, seed=5)
    steps = tuning.steps_of(range(10), plan)
    assert [len(step) for step in steps] == [4, 4, 2, 4, 4, 2]
    first, second = [*chain(*steps[:3])], [*chain(*steps[3:])]
    assert sorted(first) == sorted(second) == list(range(10))
    assert first != second
    assert steps == tuning.steps_of(range(10), plan)
    assert steps != tuning.steps_of(range(10), replace(plan, seed=6))


def test_the_pairs_of_one_prompt_are_learnt_in_one_step() -> None:
    # Five prompts with a pair at each of two turns, not side by side; two prompts make a step.
    plan = TuningPlan(2, 1e-5, 4, 64, safety_loss_weight=1.0, seed=5)
    for step in tuning.steps_of([*"abcde", *"abcde"], plan):
        assert [number + 5 for number in step[::2]] == step[1::2]


def test_few_steps_are_said(tiny: PolicyRef, tmp_path: Path) -> None:
    notes = Notes()
    run(tiny, tmp_path, learnable(4, 1), recipe="lora", report=notes)
    assert notes.notes == [
        "4 pairs make 1 step; a smaller pairs_per_step than 512, or more epochs, teaches more."
    ]


def test_the_schedule_warms_up_and_falls_to_a_tenth() -> None:
    # 100 steps: 3 % are fewer than 5, hence 5 of warm-up; the last step has 10 %; half way down 55 %.
    share = [tuning.learning_rate_share(step, 105) for step in range(105)]
    assert share[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert share[54] == pytest.approx(0.55)
    assert share[-1] == pytest.approx(0.1)
    assert max(share) == 1.0
    # Fewer steps than the warm-up: all of them warm up.
    assert [tuning.learning_rate_share(step, 2) for step in range(2)] == [0.5, 1.0]
    # 1,000 steps: 3 % are 30.
    assert tuning.learning_rate_share(29, 1000) == 1.0
    assert tuning.learning_rate_share(28, 1000) < 1.0


def test_a_checkpoint_holds_no_pickle(tiny: PolicyRef, tmp_path: Path) -> None:
    run(tiny, tmp_path, learnable(4, 0), recipe="lora", **QUICK["lora"])
    kept = [path for path in (tmp_path / "run").rglob("*.*") if path.is_file()]
    texts = {".json", ".md", ".svg"}
    assert {path.suffix for path in kept if path.parent.name != "tensorboard"} <= {".safetensors", *texts}
