"""Packed examples: what is shared is computed once, and nothing else changes: not a loss, not a gradient."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from rewardmodel.core.reading import ROW_ATTENTION
from training.core.head_loss import Asked, losses, summed_loss
from training.core.packing import Example, pack, plan_packs
from training.core.policy_network import RowPolicy, TreePolicy, network_of

WORDS = 24  # of the vocabulary of the models below
PAD, END = 0, 1


def causal(family: str = "llama", **more: Any) -> PreTrainedModel:
    """A random policy of two layers with shared key heads, as wide as 16."""
    torch.manual_seed(0)
    config = AutoConfig.for_model(
        family,
        vocab_size=WORDS,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=4,
        initializer_range=0.3,
        pad_token_id=PAD,
        **more,
    )
    untyped: Any = AutoModelForCausalLM
    model: PreTrainedModel = untyped.from_config(config, attn_implementation=ROW_ATTENTION).eval()
    return model


@st.composite
def examples(draw: st.DrawFn) -> Example:
    """Rows of few tokens, so that they share beginnings; up to two spans anywhere behind the first token."""
    tokens = draw(st.lists(st.integers(0, 2), min_size=2, max_size=10))
    bounds = draw(
        st.lists(st.integers(1, len(tokens)), min_size=2, max_size=4, unique=True).filter(
            lambda found: len(found) % 2 == 0
        )
        if len(tokens) > 2
        else st.just([1, 2])
    )
    ends = sorted(bounds)
    return Example(tuple(tokens), tuple(zip(ends[::2], ends[1::2], strict=True)))


def gradients(model: nn.Module) -> Tensor:
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


def as_rows(model: PreTrainedModel) -> Any:
    """The model with an attention that reads rows, whatever read it before."""
    untyped: Any = model
    untyped.set_attn_implementation(ROW_ATTENTION)
    return untyped


def alone(model: PreTrainedModel, learnt: Sequence[Example]) -> tuple[float, Tensor]:
    """Loss and gradient of one row an example through the whole model: -log p of token i is read at i - 1."""
    untyped = as_rows(model)
    model.zero_grad()
    total = 0.0
    for example in learnt:
        logits = untyped(torch.tensor([example.tokens]), use_cache=False).logits[0].log_softmax(dim=-1)
        loss = -sum(
            logits[i - 1, example.tokens[i]] for start, stop in example.spans for i in range(start, stop)
        )
        loss.backward()
        total += float(loss.detach())
    return total, gradients(model)


def packed(network: Any, learnt: Sequence[Example], budget: int) -> tuple[float, Tensor]:
    network.zero_grad()
    total = 0.0
    for one in plan_packs(learnt, budget):
        loss = network(one)
        loss.backward()
        total += float(loss.detach())
    return total, gradients(network)


MODEL = causal()


@settings(max_examples=20)
@given(learnt=st.lists(examples(), min_size=1, max_size=6), budget=st.integers(1, 60))
def test_loss_and_gradient_are_those_of_one_row_an_example_whatever_the_packing(
    learnt: list[Example], budget: int
) -> None:
    expected_loss, expected = alone(MODEL, learnt)
    network = network_of(MODEL, pad=PAD)
    assert isinstance(network, TreePolicy)
    loss, found = packed(network, learnt, budget)
    assert loss == pytest.approx(expected_loss, rel=1e-5)
    assert (found - expected).abs().max() <= 1e-4 * expected.abs().max()


@settings(max_examples=10)
@given(learnt=st.lists(examples(), min_size=1, max_size=6), pad=st.sampled_from([PAD, END]))
def test_rows_read_alone_agree_whatever_fills_them_up(learnt: list[Example], pad: int) -> None:
    expected_loss, expected = alone(MODEL, learnt)
    loss, found = packed(RowPolicy(MODEL, pad=pad), learnt, 1000)
    assert loss == pytest.approx(expected_loss, rel=1e-5)
    assert (found - expected).abs().max() <= 1e-4 * expected.abs().max()


@pytest.mark.parametrize("pad", [PAD, END])
@pytest.mark.parametrize("network", [TreePolicy, RowPolicy])
def test_an_end_of_turn_that_also_fills_up_rows_is_learnt(network: type[Any], pad: int) -> None:
    learnt = [Example((3, 4, END), ((1, 3),)), Example((3, 4, 5, 6, 7, END), ((2, 6),))]
    expected, _ = alone(MODEL, learnt)
    reads = network_of(MODEL, pad=pad) if network is TreePolicy else RowPolicy(MODEL, pad=pad)
    assert packed(reads, learnt, 1000)[0] == pytest.approx(expected, rel=1e-5)


def test_a_shared_token_counts_once_for_each_example_that_learns_it() -> None:
    # Rows 5 6 7 and 5 6 8, both learnt from token 1 on. 6 behind 5 is learnt twice; behind 6 come 7 and 8, once each.
    one = pack([Example((5, 6, 7), ((1, 3),)), Example((5, 6, 8), ((1, 3),))])
    assert one.tree.tokens.tolist() == [5, 6, 7, 8]
    assert one.reads.tolist() == [0, 1]  # neither 7 nor 8 predicts anything
    assert list(zip(one.place.tolist(), one.token.tolist(), one.count.tolist(), strict=True)) == [
        (0, 6, 2),
        (1, 7, 1),
        (1, 8, 1),
    ]
    assert [own.tolist() for own in one.own] == [[0, 1], [0, 2]]


def test_what_is_a_target_here_and_a_prompt_there_counts_once() -> None:
    # The same tokens twice; the first learns 6 and 7, the second 7 alone.
    one = pack([Example((5, 6, 7), ((1, 3),)), Example((5, 6, 7), ((2, 3),))])
    assert (one.token.tolist(), one.count.tolist()) == ([6, 7], [1, 2])


def test_logits_are_asked_for_only_where_something_is_learnt() -> None:
    # 1,000 tokens of prompt and two answers of one token each: two branches, one place.
    prompt = tuple(2 + number % 20 for number in range(1000))
    one = pack([Example((*prompt, answer), ((1000, 1001),)) for answer in (3, 4)])
    assert (one.tokens, one.reads.tolist(), one.token.tolist()) == (1002, [999], [3, 4])


@settings(max_examples=30)
@given(learnt=st.lists(examples(), min_size=1, max_size=8), budget=st.integers(1, 40))
def test_every_example_is_in_one_pack_with_all_that_it_learns(learnt: list[Example], budget: int) -> None:
    packs = plan_packs(learnt, budget)
    assert sorted(number for one in packs for number in one.examples) == list(range(len(learnt)))
    for one in packs:
        assert one.tokens <= budget or len(one.examples) == 1
        assert one.count.sum() == sum(len(own) for own in one.own)
        for number, own in zip(one.examples, one.own, strict=True):
            example = learnt[number]
            expected = [example.tokens[i] for start, stop in example.spans for i in range(start, stop)]
            assert one.token[own].tolist() == expected


def test_the_losses_of_each_sum_up_to_the_loss() -> None:
    learnt = [Example((5, 6, 7), ((1, 3),)), Example((5, 6, 8, 9), ((1, 2), (3, 4)))]
    one = pack(learnt)
    for network in (network_of(MODEL, pad=PAD), RowPolicy(as_rows(causal()), pad=PAD)):
        with torch.no_grad():
            each = network(one, each=True)
            assert each.shape == one.token.shape
            total = float(network(one))
        expected = sum(float(each[torch.from_numpy(own)].sum()) for own in one.own)
        assert total == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("spans", [(), ((0, 1),), ((1, 4),), ((2, 1),), ((1, 3), (2, 3))], ids=str)
def test_spans_that_nothing_predicts_or_that_overlap_are_refused(spans: tuple[tuple[int, int], ...]) -> None:
    with pytest.raises(ValueError, match="do not lie behind"):
        Example((5, 6, 7), spans)


# Which network reads a model


@pytest.mark.parametrize("family", ["llama", "qwen2", "qwen3", "gemma", "olmo2"])
def test_a_model_whose_head_is_all_is_read_as_a_tree(family: str) -> None:
    model = causal(family)
    learnt = [Example((5, 6, 7, 8), ((1, 4),)), Example((5, 6, 9), ((2, 3),)), Example((3, 4), ((1, 2),))]
    network = network_of(model, pad=PAD)
    assert isinstance(network, TreePolicy)
    loss, found = packed(network, learnt, 1000)
    expected_loss, expected = alone(model, learnt)
    assert loss == pytest.approx(expected_loss, rel=1e-5)
    assert (found - expected).abs().max() <= 1e-4 * expected.abs().max()


@pytest.mark.parametrize(
    ("family", "more"), [("cohere", {"logit_scale": 0.0625}), ("granite", {"logits_scaling": 4.0})]
)
def test_a_model_that_scales_its_logits_is_read_through_its_own_forward_pass(
    family: str, more: dict[str, float]
) -> None:
    model = causal(family, **more)
    network = network_of(model, pad=PAD)
    assert isinstance(network, RowPolicy)
    learnt = [Example((5, 6, 7, 8), ((1, 4),)), Example((5, 6, 9), ((2, 3),))]
    expected_loss, expected = alone(model, learnt)
    loss, found = packed(network, learnt, 1000)
    assert loss == pytest.approx(expected_loss, rel=1e-5)
    assert (found - expected).abs().max() <= 1e-4 * expected.abs().max()


# The head's loss


def plain_losses(states: Tensor, head: nn.Linear, asked: Asked) -> Tensor:
    return nn.functional.cross_entropy(head(states)[asked.place], asked.token, reduction="none")


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("at_once", [1, 3 * WORDS, 10**6])  # one row at a time, three, all
def test_the_loss_in_pieces_is_the_loss(bias: bool, at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.core.head_loss.LOGITS_AT_ONCE", {"cpu": at_once})
    torch.manual_seed(1)
    head = nn.Linear(8, WORDS, bias=bias)
    states = torch.randn(7, 8, requires_grad=True)
    place = torch.tensor([0, 0, 2, 3, 3, 6])  # some states are asked twice, some never
    asked = Asked(place, torch.tensor([1, 5, 5, 0, 23, 7]), torch.tensor([1.0, 2.0, 1.0, 3.0, 1.0, 1.0]))
    expected = plain_losses(states, head, asked)
    wanted = [states, *head.parameters()]
    expected_gradients = torch.autograd.grad(0.5 * (asked.count * expected).sum(), wanted)
    found = summed_loss(states, head, asked)
    assert found.item() == pytest.approx((asked.count * expected).sum().item(), rel=1e-6)
    torch.testing.assert_close(losses(states, head, asked), expected.detach())
    for one, other in zip(torch.autograd.grad(0.5 * found, wanted), expected_gradients, strict=True):
        torch.testing.assert_close(one, other)


def test_a_frozen_head_gets_no_gradient_and_states_do() -> None:
    head = nn.Linear(8, WORDS).requires_grad_(False)
    states = torch.randn(2, 8, requires_grad=True)
    asked = Asked(torch.tensor([0, 1]), torch.tensor([1, 2]), torch.ones(2))
    summed_loss(states, head, asked).backward()  # type: ignore[no-untyped-call]
    assert head.weight.grad is None
    assert states.grad is not None
    assert np.isfinite(states.grad.numpy()).all()
