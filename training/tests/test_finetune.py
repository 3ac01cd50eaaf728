"""The next policy from winners: what is learnt, what is kept, and that a kill changes nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from annotation.core.records import Message
from rewardmodel.core.backbone import PolicyRef, encode_prompt, load_causal_lm, load_tokenizer
from rewardmodel.core.files import verify_manifest
from rewardmodel.core.report import RunFailedError, Silent
from rewardmodel.core.rows import RowEncoder
from rewardmodel.core.tiny import build_tiny
from rewardmodel.tests.examples import make_record, write_snapshot
from training.core import finetune, sft
from training.core.events import read_events
from training.core.examples import examples_of
from training.core.policy_network import network_of
from training.core.sft import SftPlan, mean_loss
from training.core.spec import RunKind
from training.core.targets import read_winners
from training.tests.jobs import KilledError, MortalJob, files_of, make_job, moments_to_die, write_lines

CPU = torch.device("cpu")
PAD = 256  # <|endoftext|> of the tiny tokenizer
PARAMS: dict[str, Any] = {
    "epochs": 2,
    "learning_rate": 0.01,
    "examples_per_step": 4,
    "tokens_per_batch": 128,
    "max_length": 256,
}


def _winner(number: int, **fields: Any) -> dict[str, Any]:
    messages: list[Message] = [{"role": "user", "content": "Why? " * (1 + number % 3)}]
    row = {"dialogue": f"d{number}", "messages": messages, "focus": "helpfulness", "policy": "tiny"}
    return row | {"text": f"Because of {number}.", "score": 1.0, "finish_reason": "stop"} | fields


@pytest.fixture
def winners(tmp_path: Path) -> Path:
    return write_lines(tmp_path / "winners.jsonl", [_winner(number) for number in range(7)])


def _job(
    out: Path, ref: PolicyRef, targets: list[Path], dies_at: int | None = None, **params: Any
) -> MortalJob:
    inputs = {"policy": ref.to_json(), "targets": [str(path) for path in targets], "name": "v1"}
    return make_job(out, RunKind.FINETUNE, PARAMS | params, inputs, dies_at)


PLAN = SftPlan(
    epochs=1, learning_rate=0.01, weight_decay=0.1, examples_per_step=4, tokens_per_batch=128, seed=0
)


# The run


@pytest.mark.parametrize("recipe", ["lora", "full"])
def test_the_targets_are_more_likely_afterwards(
    tmp_path: Path, tiny: PolicyRef, winners: Path, recipe: str
) -> None:
    job = _job(tmp_path / "run", tiny, [winners], recipe=recipe)
    result = finetune.run(job)
    # "Because of 0." and its end of turn are 13 bytes and one token: 7 x 14 = 98.
    assert (result["examples"], result["tokens"], result["steps"]) == (7, 98, 4)
    assert result["loss_last"] < 0.9 * result["loss_first"]


@pytest.mark.parametrize("recipe", ["lora", "full"])
def test_the_policy_that_is_stored_is_the_one_that_was_trained(
    tmp_path: Path, tiny: PolicyRef, winners: Path, recipe: str
) -> None:
    job = _job(tmp_path / "run", tiny, [winners], recipe=recipe)
    result = finetune.run(job)
    ref = PolicyRef("v1", job.output, tiny.path if recipe == "lora" else None)
    encoder = RowEncoder(load_tokenizer(ref), 256)
    examples = [example for winner in read_winners([winners]) for example in examples_of(winner, encoder)]
    loss = mean_loss(network_of(load_causal_lm(ref, CPU), pad=PAD), examples, PLAN, Silent())
    assert loss == pytest.approx(result["loss_last"], rel=1e-4)


@pytest.mark.parametrize("recipe", ["lora", "full"])
def test_a_run_killed_anywhere_ends_with_the_same_bytes(
    tmp_path: Path, tiny: PolicyRef, winners: Path, recipe: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sft, "CHECKPOINT_SECONDS", 0.0)
    whole = _job(tmp_path / "whole", tiny, [winners], recipe=recipe)
    result = finetune.run(whole)
    for dies_at in moments_to_die(whole.checks):
        killed = _job(tmp_path / f"killed-{dies_at}", tiny, [winners], dies_at, recipe=recipe)
        with pytest.raises(KilledError):
            finetune.run(killed)
        again = _job(tmp_path / f"killed-{dies_at}", tiny, [winners], recipe=recipe)
        assert finetune.run(again) == result
        assert files_of(again.output) == files_of(whole.output)


def test_how_often_the_state_is_saved_changes_nothing(
    tmp_path: Path, tiny: PolicyRef, winners: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rarely = _job(tmp_path / "rarely", tiny, [winners])
    finetune.run(rarely)
    monkeypatch.setattr(sft, "CHECKPOINT_SECONDS", 0.0)
    often = _job(tmp_path / "often", tiny, [winners])
    finetune.run(often)
    assert files_of(often.output) == files_of(rarely.output)


def test_an_adapter_is_a_policy_directory_that_names_its_base_and_no_path(
    tmp_path: Path, tiny: PolicyRef, winners: Path
) -> None:
    job = _job(tmp_path / "run", tiny, [winners], recipe="lora", lora_rank=2)
    finetune.run(job)
    manifest = verify_manifest(job.output)
    assert (manifest["kind"], manifest["parent"], manifest["adapter"]) == ("policy", "tiny", True)
    assert (manifest["name"], manifest["source"], manifest["template"]) == ("v1", "finetune", "chatml")
    config = json.loads((job.output / "adapter_config.json").read_text())
    assert (config["base_model_name_or_path"], config["r"]) == ("tiny", 2)
    assert {"adapter_model.safetensors", "tokenizer.json"} <= manifest["files"].keys()
    assert "model.safetensors" not in manifest["files"]
    for path in (tmp_path, tiny.path):
        assert all(str(path).encode() not in content for content in files_of(job.output).values())


def test_whole_weights_leave_with_the_settings_for_sampling(
    tmp_path: Path, tiny: PolicyRef, winners: Path
) -> None:
    job = _job(tmp_path / "run", tiny, [winners], recipe="full")
    finetune.run(job)
    manifest = verify_manifest(job.output)
    assert "adapter" not in manifest
    assert json.loads((job.output / "generation_config.json").read_text())["do_sample"] is True
    for path in (tmp_path, tiny.path):
        assert all(str(path).encode() not in content for content in files_of(job.output).values())


def test_the_new_policy_encodes_like_its_parent(tmp_path: Path, tiny: PolicyRef, winners: Path) -> None:
    job = _job(tmp_path / "run", tiny, [winners])
    finetune.run(job)
    messages: list[Message] = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi"}]
    new = load_tokenizer(PolicyRef("v1", job.output, tiny.path))
    assert encode_prompt(new, messages) == encode_prompt(load_tokenizer(tiny), messages)


def test_the_base_is_not_touched(tmp_path: Path, tiny: PolicyRef, winners: Path) -> None:
    before = files_of(tiny.path)
    finetune.run(_job(tmp_path / "run", tiny, [winners], recipe="full"))
    assert files_of(tiny.path) == before


def test_an_adapter_is_not_put_on_an_adapter(tmp_path: Path, tiny: PolicyRef, winners: Path) -> None:
    first = _job(tmp_path / "first", tiny, [winners])
    finetune.run(first)
    ref = PolicyRef("v1", first.output, tiny.path)
    with pytest.raises(RunFailedError, match="v1 is an adapter"):
        finetune.run(_job(tmp_path / "second", ref, [winners]))


def test_what_is_left_out_is_told_and_nothing_left_fails(tmp_path: Path, tiny: PolicyRef) -> None:
    path = write_lines(tmp_path / "long.jsonl", [_winner(0, text="x" * 300), _winner(1)])
    job = _job(tmp_path / "run", tiny, [path])
    assert finetune.run(job)["examples"] == 1
    notes = [event for event in read_events(job.out / "events.jsonl")[0] if event.type == "note"]
    assert notes[0].data["text"] == "1 targets are longer than 256 tokens: left out."
    with pytest.raises(RunFailedError, match="nothing to learn from"):
        finetune.run(_job(tmp_path / "none", tiny, [path], max_length=16))


def notes_of(job: MortalJob) -> list[str]:
    events = read_events(job.out / "events.jsonl")[0]
    return [str(event.data["text"]) for event in events if event.type == "note"]


def test_a_rate_for_adapters_is_doubted_where_whole_weights_learn(
    tmp_path: Path, tiny: PolicyRef, winners: Path
) -> None:
    fast = _job(tmp_path / "fast", tiny, [winners], recipe="full", learning_rate=2e-4)
    finetune.run(fast)
    assert any("whole weights want some 2e-5" in note for note in notes_of(fast))
    slow = _job(tmp_path / "slow", tiny, [winners], recipe="full", learning_rate=2e-5)
    finetune.run(slow)
    assert not any("whole weights" in note for note in notes_of(slow))


def test_few_steps_are_said(tmp_path: Path, tiny: PolicyRef, winners: Path) -> None:
    job = _job(tmp_path / "run", tiny, [winners])
    finetune.run(job)
    assert "7 examples make 4 steps; a smaller examples_per_step" in notes_of(job)[0]


def test_every_source_is_learnt_and_named_in_the_manifest(
    tmp_path: Path, tiny: PolicyRef, winners: Path
) -> None:
    turns = [*_winner(3)["messages"], {"role": "assistant", "content": "So."}]
    own = write_lines(tmp_path / "own.jsonl", [{"messages": [*turns, *turns]}])
    targets = write_lines(tmp_path / "targets.jsonl", [_winner(1), _winner(1, learn="every")])
    snapshot = write_snapshot(tmp_path / "week-1", [make_record(1), make_record(2)])
    job = _job(tmp_path / "run", tiny, [winners])
    job.file.inputs.update(lines=[str(targets)], conversations=str(own), snapshot=str(snapshot))
    result = finetune.run(job)
    assert result["sources"] == {"targets": 7, "lines": 2, "snapshot": 2, "conversations": 1}
    assert result["examples"] == 12
    manifest = verify_manifest(job.output)
    assert (len(manifest["targets"]), len(manifest["lines"])) == (1, 1)
    assert manifest["snapshot"]["name"] == "week-1"
    assert manifest["metrics"]["steps"] == result["steps"]


def test_what_is_held_back_is_measured_before_and_after(tmp_path: Path, tiny: PolicyRef) -> None:
    # Of 200 targets, every one with a prompt of its own, 10 are held back: 190 / 64 = 3 steps.
    rows = [
        _winner(number, messages=[{"role": "user", "content": f"Why {number}?"}], text=f"So {number % 4}.")
        for number in range(200)
    ]
    path = write_lines(tmp_path / "many.jsonl", rows)
    job = _job(tmp_path / "run", tiny, [path], epochs=1, examples_per_step=64, tokens_per_batch=4096)
    result = finetune.run(job)
    assert (result["examples"], result["held_back"], result["steps"]) == (190, 10, 3)
    assert (
        result["held_loss_last"] < result["held_loss_first"]
    )  # the answers repeat: what is learnt carries over
    assert result["overfits"] is False
    metrics = {
        event.data["name"] for event in read_events(job.out / "events.jsonl")[0] if event.type == "metric"
    }
    assert metrics == {"loss", "held_loss"}


def test_a_small_policy_with_another_tokenizer_learns_what_a_big_one_said(
    tmp_path: Path, winners: Path
) -> None:
    # Targets are text. The small one writes "Because" as one token, which the big one spells in bytes.
    ref = _with_word(tmp_path / "small", "Because")
    job = _job(tmp_path / "run", ref, [winners], recipe="full")
    result = finetune.run(job)
    # "Because of 0." is one token, 6 bytes and the end of the turn: 7 x 8 = 56 tokens to learn, not 98.
    assert (result["examples"], result["tokens"]) == (7, 56)
    assert result["loss_last"] < result["loss_first"]
    small = load_tokenizer(PolicyRef("v1", job.output, None))
    assert small("Because", add_special_tokens=False)["input_ids"] == [259]


def _with_word(directory: Path, word: str) -> PolicyRef:
    """A tiny policy whose vocabulary has one word more."""
    build_tiny(directory)
    ref = PolicyRef("small", directory, None)
    tokenizer = load_tokenizer(ref)
    tokenizer.add_tokens([word])
    model: Any = load_causal_lm(ref, CPU)
    torch.manual_seed(0)
    model.resize_token_embeddings(260, mean_resizing=False)
    model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return ref


def test_no_attention_of_ours_is_named_in_what_is_stored(
    tmp_path: Path, tiny: PolicyRef, winners: Path
) -> None:
    for recipe in ("full", "lora"):
        job = _job(tmp_path / recipe, tiny, [winners], recipe=recipe)
        finetune.run(job)
        assert all(b"margin_token_tree" not in content for content in files_of(job.output).values())
