"""What is learnt of a dialogue, and how a step of fine-tuning is made of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from annotation.core.records import Message
from rewardmodel.core.backbone import PolicyRef, load_causal_lm, load_tokenizer
from rewardmodel.core.report import RunFailedError, Silent
from rewardmodel.core.rows import RowEncoder
from rewardmodel.core.tiny import END_ID
from training.core.conversations import conversation
from training.core.examples import examples_of, put_aside
from training.core.packing import Example
from training.core.policy_network import Policy, network_of
from training.core.sft import SftPlan, accumulate, fit, losses_of, mean_loss, plan_steps
from training.core.targets import Target

CPU = torch.device("cpu")
PAD = 256  # <|endoftext|> of the tiny tokenizer


def asks(*contents: str) -> tuple[Message, ...]:
    """Users and assistants in turn."""
    roles = ("user", "assistant")
    return tuple({"role": roles[n % 2], "content": text} for n, text in enumerate(contents))  # type: ignore[typeddict-item]


def plan(**fields: Any) -> SftPlan:
    values: dict[str, Any] = {
        "epochs": 1, "learning_rate": 0.01, "weight_decay": 0.1, "examples_per_step": 4, "tokens_per_batch": 128,
        "seed": 0,
    }  # fmt: skip
    return SftPlan(**(values | fields))


def learnt(example: Example) -> bytes:
    """What is learnt of a row; the end of a turn as one byte that no text has."""
    return bytes(0xFF if example.tokens[i] == END_ID else example.tokens[i] for i in example.learnt())


@pytest.fixture(scope="module")
def encoder(tiny: PolicyRef) -> RowEncoder:
    return RowEncoder(load_tokenizer(tiny), 1024)


# What is learnt from


def test_the_target_is_the_response_and_its_end_of_turn(encoder: RowEncoder) -> None:
    # <|im_start|> user\nHi <|im_end|> \n <|im_start|> assistant\n : 1 + 7 + 1 + 1 + 1 + 10 = 21 prompt tokens,
    # then Y, o, <|im_end|>; the newline that the template writes behind it is not sampled, hence not learnt.
    (example,) = examples_of(Target("d", asks("Hi"), "Yo"), encoder)
    assert (example.spans, example.targets) == (((21, 24),), 3)
    assert example.tokens[21:] == (ord("Y"), ord("o"), END_ID)


def test_a_response_that_was_cut_does_not_teach_to_stop(encoder: RowEncoder) -> None:
    (example,) = examples_of(Target("d", asks("Hi"), "Yo", cut=True), encoder)
    assert learnt(example) == b"Yo"


def test_earlier_turns_of_a_winner_have_no_loss(encoder: RowEncoder) -> None:
    (example,) = examples_of(Target("d", asks("Hi", "Yo", "Why?"), "So."), encoder)
    assert learnt(example) == b"So.\xff"


def test_every_answer_of_a_conversation_is_learnt_with_its_end_but_for_one_that_was_cut(
    encoder: RowEncoder,
) -> None:
    (whole,) = examples_of(Target("d", asks("Hi", "Yo", "Why?"), "So.", every=True), encoder)
    assert learnt(whole) == b"Yo\xffSo.\xff"
    (cut,) = examples_of(Target("d", asks("Hi", "Yo", "Why?"), "So.", every=True, cut=True), encoder)
    assert learnt(cut) == b"Yo\xffSo."


texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=8).filter(
    str.strip
)


@settings(max_examples=15)
@given(
    said=st.lists(texts, min_size=2, max_size=8).filter(lambda found: len(found) % 2 == 0),
    system=st.none() | texts,
)
def test_not_one_token_of_a_user_or_a_system_message_has_loss(
    encoder: RowEncoder, said: list[str], system: str | None
) -> None:
    before: list[Message] = [] if system is None else [{"role": "system", "content": system}]
    (example,) = examples_of(conversation({"messages": [*before, *asks(*said)]}), encoder)
    # The tokens are bytes: what is learnt is what the assistant says, turn by turn, and nothing else.
    assert learnt(example) == b"".join(answer.encode() + b"\xff" for answer in said[1::2])


def test_a_long_conversation_is_learnt_in_pieces_each_behind_what_still_fits(tiny: PolicyRef) -> None:
    # A prompt may use half of 160 tokens. Answer 4's is longer and loses its oldest turns, so it begins another row.
    said = ["Hi", "Yo", "Why?", "So.", "And so?", "x" * 20, "Then?", "Thus."]
    found = examples_of(conversation({"messages": list(asks(*said))}), RowEncoder(load_tokenizer(tiny), 160))
    assert b"".join(learnt(example) for example in found) == b"Yo\xffSo.\xff" + b"x" * 20 + b"\xffThus.\xff"
    assert len(found) > 1
    assert all(len(example.tokens) <= 160 for example in found)


def test_a_target_that_does_not_fit_is_left_out(tiny: PolicyRef) -> None:
    encoder = RowEncoder(load_tokenizer(tiny), 64)
    assert examples_of(Target("d", asks("Hi"), "x" * 60), encoder) == []


def test_an_empty_response_that_was_cut_teaches_nothing(encoder: RowEncoder) -> None:
    assert examples_of(Target("d", asks("Hi"), "", cut=True), encoder) == []


def test_one_in_twenty_is_held_back_by_whole_prompts_where_there_are_enough() -> None:
    two_a_prompt = [Example((1, 2), ((1, 2),), str(number // 2)) for number in range(200)]
    aside = put_aside(two_a_prompt, seed=3)
    assert len(aside) == 10
    assert all(number ^ 1 in aside for number in aside)
    assert aside == put_aside(two_a_prompt, seed=3) != put_aside(two_a_prompt, seed=4)
    assert put_aside(two_a_prompt[:199], seed=3) == []
    assert put_aside([Example((1, 2), ((1, 2),), "same")] * 300, seed=3) == []


# The loss


def some_examples() -> list[Example]:
    """Rows of different lengths and different parts of prompt and target; the last one's end is no target."""
    shapes = [(9, 4, 9), (5, 3, 5), (12, 11, 12), (8, 2, 7)]
    return [
        Example(
            tuple(32 + (7 * row + 3 * column) % 90 for column in range(length)), ((start, stop),), str(row)
        )
        for row, (length, start, stop) in enumerate(shapes)
    ]


def network(tiny: PolicyRef) -> Policy:
    return network_of(load_causal_lm(tiny, CPU), pad=PAD)


def plain_loss(model: Any, example: Example) -> float:
    """All logits of one row; -log p of token i is read at i - 1."""
    logits = model(torch.tensor([example.tokens])).logits[0].detach().log_softmax(dim=-1)
    return -sum(float(logits[i - 1, example.tokens[i]]) for i in example.learnt())


def test_the_loss_of_each_is_that_of_its_targets_alone(tiny: PolicyRef) -> None:
    model = load_causal_lm(tiny, CPU)
    expected = [plain_loss(model, example) for example in some_examples()]
    found = losses_of(network(tiny), some_examples(), plan(tokens_per_batch=15), Silent())
    assert found == pytest.approx(expected, rel=1e-5)


def test_a_step_weighs_tokens_not_rows(tiny: PolicyRef) -> None:
    model = load_causal_lm(tiny, CPU)
    # Targets 5 + 2 + 1 + 5 = 13.
    expected = sum(plain_loss(model, example) for example in some_examples()) / 13
    assert mean_loss(network(tiny), some_examples(), plan(), Silent()) == pytest.approx(expected, rel=1e-5)


def test_the_cut_into_packs_does_not_change_the_gradient(tiny: PolicyRef) -> None:
    found = []
    for budget in (1, 20, 10_000):  # one row, about two, all rows a pack
        policy = network(tiny)
        loss = accumulate(policy, some_examples(), plan(tokens_per_batch=budget), Silent())
        found.append((loss, torch.cat([p.grad.flatten() for p in policy.parameters() if p.grad is not None])))
    for loss, gradient in found[1:]:
        assert loss == pytest.approx(found[0][0], rel=1e-6)
        assert (gradient - found[0][1]).abs().max() <= 1e-5 * found[0][1].abs().max()


# Steps


def test_every_example_occurs_once_an_epoch_in_another_order() -> None:
    # 7 examples in steps of 3: 3 + 3 + 1, twice.
    steps = plan_steps([str(number) for number in range(7)], plan(epochs=2, examples_per_step=3))
    assert [len(step) for step in steps] == [3, 3, 1, 3, 3, 1]
    first, second = ([i for step in half for i in step] for half in (steps[:3], steps[3:]))
    assert sorted(first) == sorted(second) == list(range(7))
    assert first != second


def test_examples_of_one_prompt_meet_in_one_step() -> None:
    steps = plan_steps(list("abcdabcd"), plan(examples_per_step=2))
    assert sorted(map(sorted, steps)) == [[0, 4], [1, 5], [2, 6], [3, 7]]


class Notes(Silent):
    """Keeps what is said, and at which step what was measured."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.curves: dict[str, list[tuple[int, float]]] = {}

    def note(self, text: str) -> None:
        self.said.append(text)

    def metric(self, name: str, value: float, step: int) -> None:
        self.curves.setdefault(name, []).append((step, value))


def test_a_step_without_enough_memory_is_done_again_in_smaller_packs(
    tiny: PolicyRef, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, small = network(tiny), network(tiny)
    fit(whole, some_examples(), plan(), work=tmp_path / "whole", report=Silent())
    forward, notes = type(small).forward, Notes()

    def short_of_memory(self: Any, pack: Any, **more: Any) -> Any:
        if pack.tokens > 15:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(self, pack, **more)

    monkeypatch.setattr(type(small), "forward", short_of_memory)
    fit(small, some_examples(), plan(tokens_per_batch=40), work=tmp_path / "small", report=notes)
    # 40 tokens, then 20, then 10: rows of 9 and 12 had been together in 20.
    assert [note.split("at most ")[1] for note in notes.said] == ["20 tokens.", "10 tokens."]
    for one, other in zip(small.parameters(), whole.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


def test_memory_that_does_not_suffice_for_one_example_ends_the_run(
    tiny: PolicyRef, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = network(tiny)

    def never(*_: Any, **__: Any) -> Any:
        raise MemoryError

    monkeypatch.setattr(type(policy), "forward", never)
    with pytest.raises(RunFailedError, match=r"one example at a time\. Set gradient_checkpointing to on"):
        fit(policy, some_examples(), plan(), work=tmp_path, report=Silent())


def test_a_loss_that_is_no_number_ends_the_run_at_once(tiny: PolicyRef, tmp_path: Path) -> None:
    policy = network(tiny)
    with torch.no_grad():
        next(policy.parameters()).fill_(float("nan"))
    with pytest.raises(
        RunFailedError, match=r"In step 1 of 1 the loss was nan .* lower learning_rate than 0.01"
    ):
        fit(policy, some_examples(), plan(), work=tmp_path, report=Silent())


def test_what_is_held_back_is_watched_and_learning_by_heart_is_said(tiny: PolicyRef, tmp_path: Path) -> None:
    # The same four prompts end otherwise in what is held back: the better they are known, the worse it gets.
    taught = some_examples()
    held = [
        Example(
            (*one.tokens[: one.spans[0][0]], *(90 - t % 50 for t in one.tokens[one.spans[0][0] :])), one.spans
        )
        for one in taught
    ]
    notes = Notes()
    fitted = fit(
        network(tiny), taught, plan(epochs=12, learning_rate=0.03), work=tmp_path, report=notes, held=held
    )
    assert fitted.overfits
    assert "learns its targets by heart" in notes.said[0]
    assert notes.curves["held_loss"][-1][0] == fitted.steps == 12


def test_activations_that_are_computed_again_give_the_same_weights(tiny: PolicyRef, tmp_path: Path) -> None:
    kept, again = network(tiny), network(tiny)
    fit(kept, some_examples(), plan(), work=tmp_path / "kept", report=Silent())
    fit(again, some_examples(), plan(recompute=True), work=tmp_path / "again", report=Silent())
    for one, other in zip(kept.parameters(), again.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_the_curves_are_kept_for_tensorboard_too(tiny: PolicyRef, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    fit(network(tiny), some_examples(), plan(), work=tmp_path, report=Silent())
    assert list((tmp_path / "tensorboard").glob("events.*"))
