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
from training.core import finetune, sft
from training.core.events import read_events
from training.core.sft import Example, SftPlan, accumulate, batches, loss_sum, mean_loss, plan_steps
from training.core.spec import RunKind
from training.tests.jobs import KilledError, MortalJob, files_of, make_job, moments_to_die, write_lines

CPU = torch.device("cpu")
PAD, END = 256, 258  # <|endoftext|> and <|im_end|> of the tiny tokenizer
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


def _plan(**fields: Any) -> SftPlan:
    values: dict[str, Any] = {
        "epochs": 1, "learning_rate": 0.01, "weight_decay": 0.1, "examples_per_step": 4, "tokens_per_batch": 128,
        "pad": PAD, "seed": 0,
    }  # fmt: skip
    return SftPlan(**(values | fields))


# What is learnt from


def test_the_target_is_the_response_and_its_end_of_turn(tiny: PolicyRef) -> None:
    # <|im_start|> user\nHi <|im_end|> \n <|im_start|> assistant\n : 1 + 7 + 1 + 1 + 1 + 10 = 21 prompt tokens,
    # then Y, o, <|im_end|>; the newline that the template writes behind it is not sampled, hence not learnt.
    winner = _winner(0, messages=[{"role": "user", "content": "Hi"}], text="Yo")
    example = finetune.example_of(winner, RowEncoder(load_tokenizer(tiny), 64))
    assert example is not None
    assert (example.start, example.stop, example.targets) == (21, 24, 3)
    assert example.tokens[21:] == (ord("Y"), ord("o"), END)


def test_a_response_that_was_cut_does_not_teach_to_stop(tiny: PolicyRef) -> None:
    winner = _winner(0, messages=[{"role": "user", "content": "Hi"}], text="Yo", finish_reason="length")
    example = finetune.example_of(winner, RowEncoder(load_tokenizer(tiny), 64))
    assert example is not None
    assert example.tokens[example.start : example.stop] == (ord("Y"), ord("o"))


def test_a_target_that_does_not_fit_is_left_out(tiny: PolicyRef) -> None:
    assert finetune.example_of(_winner(0, text="x" * 60), RowEncoder(load_tokenizer(tiny), 64)) is None


def test_the_bank_keeps_the_best_of_a_dialogue_over_all_rounds_and_the_newest_of_equals(
    tmp_path: Path,
) -> None:
    older = [_winner(1, text="best", score=3.0), _winner(2, text="old", score=1.0), _winner(3, text="only")]
    newer = [_winner(2, text="new", score=1.0), _winner(1, text="worse", score=2.0), _winner(4, text=" ")]
    files = [write_lines(tmp_path / f"{number}.jsonl", rows) for number, rows in enumerate([older, newer])]
    assert [row["text"] for row in finetune.read_bank(files)] == ["best", "new", "only"]


# The loss


def _examples() -> list[Example]:
    """Rows of different lengths and different parts of prompt and target; the last one's end is no target."""
    shapes = [(9, 4, 9), (5, 3, 5), (12, 11, 12), (8, 2, 7)]
    return [
        Example(tuple(32 + (7 * row + 3 * column) % 90 for column in range(length)), start, stop)
        for row, (length, start, stop) in enumerate(shapes)
    ]


def _plain_loss(model: Any, example: Example) -> float:
    """All logits of one unpadded row; -log p of token i is read at i - 1."""
    logits = model(torch.tensor([example.tokens])).logits[0].detach().log_softmax(dim=-1)
    return -sum(float(logits[i - 1, example.tokens[i]]) for i in range(example.start, example.stop))


def test_the_loss_is_that_of_the_response_tokens_alone(tiny: PolicyRef) -> None:
    model = load_causal_lm(tiny, CPU)
    expected = sum(_plain_loss(model, example) for example in _examples())
    assert loss_sum(model, _examples(), PAD).item() == pytest.approx(expected, rel=1e-5)


def test_a_target_is_read_at_the_token_before_it(tiny: PolicyRef) -> None:
    # Two rows of the same tokens; the first learns token 1 too, which is read at token 0 alone.
    model: Any = load_causal_lm(tiny, CPU)
    short, long = Example((40, 41, 42), 1, 3), Example((40, 41, 42), 2, 3)
    difference = loss_sum(model, [short], PAD) - loss_sum(model, [long], PAD)
    logits = model(torch.tensor([[40]])).logits
    assert difference.item() == pytest.approx(-logits[0, 0].log_softmax(-1)[41].item(), rel=1e-5)


def test_the_cut_into_batches_does_not_change_the_gradient(tiny: PolicyRef) -> None:
    gradients = []
    for budget in (1, 20, 10_000):  # one row, about two, all rows a batch
        model = load_causal_lm(tiny, CPU)
        loss = accumulate(model, _examples(), _plan(tokens_per_batch=budget), Silent())
        gradients.append((loss, [parameter.grad for parameter in model.parameters()]))
    for loss, gradient in gradients[1:]:
        assert loss == pytest.approx(gradients[0][0], rel=1e-6)
        for one, other in zip(gradients[0][1], gradient, strict=True):
            assert one is not None
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_a_step_weighs_tokens_not_rows(tiny: PolicyRef) -> None:
    model = load_causal_lm(tiny, CPU)
    examples = _examples()
    # Targets 5 + 2 + 1 + 5 = 13.
    expected = sum(_plain_loss(model, example) for example in examples) / 13
    assert mean_loss(model, examples, _plan(), Silent()) == pytest.approx(expected, rel=1e-5)


def test_batches_hold_every_row_once_within_the_budget() -> None:
    # Lengths 5, 8, 9, 12: 2 rows of at most 8 make 16; 9 and 12 would make 24 > 20.
    cut = list(batches(_examples(), 20))
    assert [[len(example.tokens) for example in batch] for batch in cut] == [[5, 8], [9], [12]]


def test_every_example_occurs_once_an_epoch_in_another_order() -> None:
    # 7 examples in steps of 3: 3 + 3 + 1, twice.
    steps = plan_steps(7, _plan(epochs=2, examples_per_step=3))
    assert [len(step) for step in steps] == [3, 3, 1, 3, 3, 1]
    first, second = ([i for step in half for i in step] for half in (steps[:3], steps[3:]))
    assert sorted(first) == sorted(second) == list(range(7))
    assert first != second


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
    found = [finetune.example_of(winner, encoder) for winner in finetune.read_bank([winners])]
    examples = [example for example in found if example is not None]
    loss = mean_loss(load_causal_lm(ref, CPU), examples, _plan(), Silent())
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
    assert [event.data["text"] for event in notes] == ["1 targets are longer than 256 tokens: left out."]
    with pytest.raises(RunFailedError, match="nothing to learn from"):
        finetune.run(_job(tmp_path / "none", tiny, [path], max_length=16))
