"""The run of PPO: what it publishes, what it tells, and that a kill changes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from annotation.core.grades import Focus
from rewardmodel.core.backbone import PolicyRef, load_causal_lm, load_tokenizer
from rewardmodel.core.files import sha256_of, verify_manifest
from rewardmodel.core.report import RunFailedError
from training.core import ppo
from training.core.events import read_events
from training.core.spec import RunKind
from training.tests import ppo_examples
from training.tests.jobs import KilledError, MortalJob, files_of, make_job, moments_to_die, write_lines
from training.tests.ppo_examples import SMALL, Fond

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def fond(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reward models that take no time: both like a letter."""
    monkeypatch.setattr("training.core.ppo.scorer.load", lambda reference, device: Fond())


@pytest.fixture
def inputs(tmp_path: Path, tiny: PolicyRef) -> dict[str, Any]:
    models = {}
    for focus in Focus:
        (tmp_path / focus).mkdir()
        (tmp_path / focus / "manifest.json").write_text(f'{{"focus":"{focus}"}}')
        models[str(focus)] = {"name": str(focus), "path": str(tmp_path / focus), "backbone": tiny.to_json()}
    file = write_lines(tmp_path / "prompts.jsonl", ppo_examples.lines())
    return {"name": "v2", "policy": tiny.to_json(), "prompts": str(file), **models}


def _job(out: Path, inputs: dict[str, Any], dies_at: int | None = None, **params: Any) -> MortalJob:
    return make_job(out, RunKind.PPO, SMALL | params, inputs, dies_at)


def _weights(ref: PolicyRef) -> dict[str, torch.Tensor]:
    return dict(load_causal_lm(ref, CPU).named_parameters())


@pytest.mark.parametrize("recipe", ["full", "lora"])
def test_what_is_published_is_a_policy_that_names_where_it_comes_from(
    tmp_path: Path, tiny: PolicyRef, inputs: dict[str, Any], recipe: str
) -> None:
    job = _job(tmp_path / "run", inputs, recipe=recipe)
    ppo.run(job)
    manifest = verify_manifest(job.output)
    assert (manifest["kind"], manifest["source"], manifest["name"]) == ("policy", "ppo", "v2")
    assert (manifest["parent"], manifest["template"]) == ("tiny", "chatml")
    assert manifest.get("adapter", False) is (recipe == "lora")
    assert manifest["prompts"] == sha256_of(Path(inputs["prompts"]))
    assert manifest["reward_models"]["safety"] == sha256_of(tmp_path / "safety" / "manifest.json")
    for path in (tmp_path, tiny.path):
        assert all(str(path).encode() not in content for content in files_of(job.output).values())


@pytest.mark.parametrize("recipe", ["full", "lora"])
def test_the_policy_that_is_stored_loads_and_differs_from_its_start(
    tmp_path: Path, tiny: PolicyRef, inputs: dict[str, Any], recipe: str
) -> None:
    job = _job(tmp_path / "run", inputs, recipe=recipe, held_out=0, learning_rate=1e-2)
    ppo.run(job)
    ref = PolicyRef("v2", job.output, tiny.path if recipe == "lora" else None)
    assert load_tokenizer(ref).chat_template == load_tokenizer(tiny).chat_template
    before, after = _weights(tiny), _weights(ref)
    assert before.keys() == after.keys()
    assert any(not torch.equal(before[name], after[name]) for name in before)


def test_an_adapter_goes_into_the_weights_first_and_whole_weights_come_out(
    tmp_path: Path, tiny: PolicyRef, inputs: dict[str, Any]
) -> None:
    first = _job(tmp_path / "first", inputs, recipe="lora", held_out=0, learning_rate=1e-2)
    ppo.run(first)
    adapter = PolicyRef("v2", first.output, tiny.path)
    # One tiny step: what comes out is the adapted start, not the base without its adapter.
    second = _job(
        tmp_path / "second", inputs | {"policy": adapter.to_json(), "name": "v3"},
        recipe="lora", held_out=0, iterations=1, learning_rate=1e-9,
    )  # fmt: skip
    ppo.run(second)
    manifest = verify_manifest(second.output)
    assert "adapter" not in manifest
    assert manifest["parent"] == "v2"
    start, found = _weights(adapter), _weights(PolicyRef("v3", second.output, None))
    for name, weight in start.items():
        torch.testing.assert_close(found[name], weight, rtol=0, atol=1e-6)


def test_every_iteration_tells_its_figures(tmp_path: Path, inputs: dict[str, Any]) -> None:
    job = _job(tmp_path / "run", inputs)
    result = ppo.run(job)
    events = [event.data for event in read_events(job.out / "events.jsonl")[0] if event.type == "metric"]
    steps: dict[str, list[int]] = {}
    for event in events:
        steps.setdefault(event["name"], []).append(event["step"])
    assert steps.pop("held_out_reward") == [0, 2, 4]
    assert set(steps) == {
        "reward", "helpfulness", "safety", "kl", "entropy", "length", "cut", "explained_variance", "policy_loss",
        "value_loss", "clip_fraction",
    }  # fmt: skip
    assert all(found == [1, 2, 3, 4] for found in steps.values())
    assert (result["iterations"], result["stopped"]) == (4, "iterations")
    assert result["held_out_best"] >= result["held_out_start"]
    assert result["last"]["reward"] == next(e["value"] for e in events[::-1] if e["name"] == "reward")


def test_the_curves_lie_for_tensorboard_too(tmp_path: Path, inputs: dict[str, Any]) -> None:
    events: Any = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    job = _job(tmp_path / "run", inputs, iterations=2)
    ppo.run(job)
    drawn = events.EventAccumulator(str(job.work / "tensorboard")).Reload()
    assert [point.step for point in drawn.Scalars("kl")] == [1, 2]
    assert [point.step for point in drawn.Scalars("held_out_reward")] == [0, 2]


@pytest.mark.parametrize(("recipe", "seconds"), [("full", 0.0), ("lora", 1e9)])
def test_a_run_killed_anywhere_ends_with_the_same_bytes(
    tmp_path: Path, inputs: dict[str, Any], recipe: str, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ppo, "CHECKPOINT_SECONDS", seconds)
    short: dict[str, Any] = {
        "recipe": recipe,
        "iterations": 3,
        "prompts_per_iteration": 4,
        "mini_batch": 2,
        "max_new_tokens": 4,
    }
    whole = _job(tmp_path / "whole", inputs, **short)
    result = ppo.run(whole)
    for dies_at in moments_to_die(whole.checks):
        killed = _job(tmp_path / f"killed-{dies_at}", inputs, dies_at, **short)
        with pytest.raises(KilledError):
            ppo.run(killed)
        again = _job(tmp_path / f"killed-{dies_at}", inputs, **short)
        assert ppo.run(again) == result
        assert files_of(again.output) == files_of(whole.output)


def test_the_same_seed_gives_the_same_policy_and_another_one_another(
    tmp_path: Path, inputs: dict[str, Any]
) -> None:
    jobs = [_job(tmp_path / name, inputs, iterations=1, held_out=0) for name in ("one", "two", "three")]
    jobs[2].file = jobs[2].file.model_copy(update={"seed": 6})
    weights = []
    for job in jobs:
        ppo.run(job)
        weights.append((job.output / "model.safetensors").read_bytes())
    assert weights[0] == weights[1]
    assert weights[0] != weights[2]


def test_the_start_is_not_touched(tmp_path: Path, tiny: PolicyRef, inputs: dict[str, Any]) -> None:
    before = files_of(tiny.path)
    ppo.run(_job(tmp_path / "run", inputs, iterations=1))
    assert files_of(tiny.path) == before


def test_answers_longer_than_the_model_sees_are_refused(tmp_path: Path, inputs: dict[str, Any]) -> None:
    with pytest.raises(RunFailedError, match="tiny sees 1024 tokens, which leave no room for 1024"):
        ppo.run(_job(tmp_path / "run", inputs, max_new_tokens=1024))


def test_reward_models_can_be_kept_off_the_gpu(
    tmp_path: Path, inputs: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def load(reference: dict[str, Any], device: str) -> Fond:
        asked.append(device)
        return Fond()

    monkeypatch.setattr("training.core.ppo.scorer.load", load)
    job = _job(tmp_path / "run", inputs, iterations=1, reward_device="cpu")
    job.file = job.file.model_copy(update={"device": "auto"})
    ppo.run(job)
    assert asked == ["cpu", "cpu"]
