"""Rows that share prompts, leave when they have ended, and make room for others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import (
    GemmaConfig,
    GemmaForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Olmo2Config,
    Olmo2ForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from training.core.batching import Ids
from training.core.decoding import Ask, Decoding, Drawn, Rows, closed_ranks
from training.core.gumbel import Draw
from training.core.lanes import CopiedPrompts, SharedPrompts, choose_rows
from training.core.shared_cache import SHARED_PROMPTS, Standing, shared_attention

CPU = torch.device("cpu")
END = 1
SMALL: dict[str, Any] = {
    "vocab_size": 40,
    "hidden_size": 24,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 128,
    "initializer_range": 0.4,
    "tie_word_embeddings": False,
    "pad_token_id": 0,
    "bos_token_id": None,
    "eos_token_id": END,
}
FAMILIES = [
    (LlamaConfig, LlamaForCausalLM, SharedPrompts),
    (Qwen2Config, Qwen2ForCausalLM, SharedPrompts),
    (Qwen3Config, Qwen3ForCausalLM, SharedPrompts),
    (Olmo2Config, Olmo2ForCausalLM, SharedPrompts),
    (GemmaConfig, GemmaForCausalLM, SharedPrompts),
    (MistralConfig, MistralForCausalLM, CopiedPrompts),  # looks through a window
]


def build(config: Any, model: Any, **more: Any) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return model(config(**SMALL, **more)).eval()


@pytest.fixture(scope="module")
def llama() -> Any:
    return build(LlamaConfig, LlamaForCausalLM)


def alone(model: Any, ask: Ask) -> tuple[tuple[int, ...], str]:
    """Greedy, without a cache."""
    model.set_attn_implementation("sdpa")
    ids = list(ask.prompt)
    while len(ids) < len(ask.prompt) + ask.longest:
        with torch.inference_mode():
            token = int(model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1].argmax())
        if token == END:
            return tuple(ids[len(ask.prompt) :]), "stop"
        ids.append(token)
    return tuple(ids[len(ask.prompt) :]), "length"


def decode(rows: Rows, asks: Sequence[Ask], budget: int = 10**6) -> list[tuple[tuple[int, ...], str]]:
    with torch.inference_mode():
        drawn: list[Drawn] = Decoding(
            rows,
            asks,
            device=CPU,
            budget=budget,
            stops=[END],
            ended=lambda _index, _tokens: False,
            watch=lambda _finished, _tokens: None,
        ).run()
    return [(answer.tokens, answer.finish_reason) for answer in drawn]


def greedy(prompt: Sequence[int], longest: int) -> Ask:
    return Ask(tuple(prompt), Draw(0.0, 1.0, 0), longest)


MIXED = [
    greedy([5, 6, 7, 8, 9, 10], 9),
    greedy([11, 12], 3),
    greedy([5, 6, 7, 8, 9, 10], 2),
    greedy([5, 6, 7, 20], 12),
    greedy([13], 7),
    greedy([11, 12], 8),
]


@pytest.mark.parametrize(("config", "model", "expected"), FAMILIES)
def test_each_family_says_what_it_says_row_by_row(config: Any, model: Any, expected: type) -> None:
    built = build(config, model)
    told = [alone(built, ask) for ask in MIXED]
    make = choose_rows(built, pad=0, device=CPU)
    assert isinstance(make(), expected)
    for budget in (10**6, 30, 1):
        assert decode(make(), MIXED, budget) == told


prompts = st.lists(st.integers(2, 39), min_size=1, max_size=8)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(prompts, st.integers(1, 6)), min_size=1, max_size=9), st.integers(1, 60))
def test_any_rows_in_any_room_say_the_same(
    llama: Any, shapes: list[tuple[list[int], int]], budget: int
) -> None:
    asks = [greedy(prompt, longest) for prompt, longest in shapes for _ in range(2)]
    told = [alone(llama, ask) for ask in asks]
    llama.set_attn_implementation(SHARED_PROMPTS)
    assert decode(SharedPrompts(llama, device=CPU), asks, budget) == told


def test_rows_of_one_prompt_hold_its_keys_once(llama: Any) -> None:
    llama.set_attn_implementation(SHARED_PROMPTS)
    rows = SharedPrompts(llama, device=CPU)
    with torch.inference_mode():
        rows.admit([(5, 6, 7)] * 8)
        rows.step([9] * 8)
    assert rows._cache is not None
    layer = rows._cache.shared[0]
    assert layer.prompt_keys is not None
    assert layer.prompt_keys.shape[0] == 1
    assert layer.keys is not None
    assert layer.keys.shape[0] == 8


def test_what_nobody_asks_any_more_is_forgotten(llama: Any) -> None:
    llama.set_attn_implementation(SHARED_PROMPTS)
    rows = SharedPrompts(llama, device=CPU)
    decode(rows, MIXED, 30)
    assert rows._prompts == rows._prompt_of == []


class Ledger:
    """Rows that say token 7 for ever, and write down who was at work at each step."""

    joins = True

    def __init__(self) -> None:
        self.live: list[Ids] = []
        self.steps: list[int] = []

    def cost(self, rows: Iterable[tuple[Ids, int]]) -> int:
        return len(list(rows))

    def admit(self, prompts: Sequence[Ids]) -> torch.Tensor:
        self.live += prompts
        return self._logits(len(prompts))

    def step(self, tokens: Sequence[int]) -> torch.Tensor:
        self.steps.append(len(self.live))
        return self._logits(len(tokens))

    def keep(self, order: Sequence[int]) -> None:
        self.live = [self.live[row] for row in order]

    def forget(self, prompt: Ids) -> None:
        assert prompt not in self.live

    def _logits(self, rows: int) -> torch.Tensor:
        return torch.nn.functional.one_hot(torch.full((rows,), 7), 10).float()


def test_waiting_rows_take_the_places_of_those_that_have_ended() -> None:
    # Room for two. The long one draws its first token with the prompt and nine in steps; beside it the three short
    # ones follow each other, with two steps each: six steps of two rows, then three of one.
    ledger = Ledger()
    asks = [greedy([4], 10), *(greedy([4], 3) for _ in range(3))]
    drawn = decode(ledger, asks, 2)
    assert [len(tokens) for tokens, _ in drawn] == [10, 3, 3, 3]
    assert ledger.steps == [2] * 6 + [1] * 3


def test_rows_that_cannot_be_joined_wait_for_all() -> None:
    ledger = Ledger()
    ledger.joins = False
    # Two at a time: nine steps for the long one and its neighbour, then two for the last two.
    decode(ledger, [greedy([4], 10), *(greedy([4], 3) for _ in range(3))], 2)
    assert ledger.steps == [2] * 2 + [1] * 7 + [2] * 2


@given(st.lists(st.booleans(), max_size=12))
def test_closing_ranks_keeps_who_stays_and_moves_few(stays: list[bool]) -> None:
    order = closed_ranks(stays)
    assert sorted(order) == [number for number, stay in enumerate(stays) if stay]
    moved = sum(source != target for target, source in enumerate(order))
    assert moved <= stays.count(False)


def test_an_attention_that_caps_its_scores_is_refused() -> None:
    states = torch.zeros(1, 1, 1, 8)
    with pytest.raises(ValueError, match="Linear wants softcap"):
        shared_attention(torch.nn.Linear(1, 1), states, states, states, None, softcap=30.0)


def test_a_model_that_misreads_shared_prompts_gets_copies(
    llama: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("training.core.shared_cache._to_rows", _wrong)
    assert isinstance(choose_rows(llama, pad=0, device=CPU)(), CopiedPrompts)
    assert "reads shared prompts wrongly" in caplog.text


def _wrong(states: torch.Tensor, step: Standing) -> torch.Tensor:
    heads, last = states.shape[1], states.shape[3]
    return states.new_zeros(step.rows, heads, 2, last)
