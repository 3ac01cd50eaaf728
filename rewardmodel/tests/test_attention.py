"""Attention over packed trees: run by run it is the dense rule, for every decoder that is asked to read so."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoConfig, AutoModel

from rewardmodel.core import reading
from rewardmodel.core.attention import TREE_ATTENTION, Run, attend, runs_of
from rewardmodel.core.reading import BLOCK_ATTENTION, ROW_ATTENTION, block_mask, choose_attention, read_tree
from rewardmodel.core.tree import grow
from rewardmodel.tests.trees import join

CPU = torch.device("cpu")
FAMILIES = ("llama", "qwen2", "qwen3", "gemma", "olmo2")
FOREST = ([5, 6, 7, 8], [5, 6, 9], [5, 6, 9, 10, 11], [5, 20], [30, 31], [30, 31, 32, 33])

rows_of_few_tokens = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=12), min_size=1, max_size=8)


def decoder(family: str, **more: Any) -> nn.Module:
    """A random decoder of two layers with shared key heads, as wide as 32."""
    torch.manual_seed(0)
    config = AutoConfig.for_model(
        family,
        vocab_size=64,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        pad_token_id=0,
        **more,
    )
    untyped: Any = AutoModel
    model: nn.Module = untyped.from_config(config, attn_implementation="sdpa").eval()
    return model


def states_by(model: nn.Module, attention: str) -> Tensor:
    reading._use(model, attention)
    return read_tree(model, grow(FOREST), pad=0)


def test_a_row_is_cut_where_a_run_begins_or_branches_off() -> None:
    # Rows 7 8 1 2, 7 8 3 and 9: preorder 7 8 1 2 | 3 | 9 with depths 0 1 2 3 2 0. The branch 3 leaves behind 7 8.
    row = runs_of(np.array([0, 1, 2, 3, 2, 0]))
    assert row.sizes == (2, 2, 1, 1)  # 7 8, 1 2, 3, 9
    assert row.runs == (Run((), (0, 1)), Run((0,), (2,)), Run((), (3,)))


@settings(deadline=None)
@given(forests=st.lists(rows_of_few_tokens, min_size=1, max_size=3), seed=st.integers(0, 99))
def test_attention_run_by_run_is_attention_under_the_dense_rule(
    forests: list[list[list[int]]], seed: int
) -> None:
    tree = join([grow(rows) for rows in forests])
    draw = torch.Generator().manual_seed(seed)
    query, key, value = (torch.randn(1, 2, len(tree), 4, generator=draw) for _ in range(3))
    dense = functional.scaled_dot_product_attention(
        query, key, value, attn_mask=torch.from_numpy(tree.may_attend())
    )
    found = attend(query, key, value, runs_of(tree.depth))
    assert (found - dense).abs().max() <= 1e-6


@settings(deadline=None, max_examples=30)
@given(forests=st.lists(rows_of_few_tokens, min_size=1, max_size=3))
def test_the_block_mask_is_the_same_rule(forests: list[list[list[int]]]) -> None:
    tree = join([grow(rows) for rows in forests])
    mask = block_mask(torch.from_numpy(tree.exit))
    index = torch.arange(len(tree))
    rule = mask.mask_mod(torch.tensor(0), torch.tensor(0), index[:, None], index[None, :])
    assert rule.numpy().tolist() == tree.may_attend().tolist()


@pytest.mark.parametrize("family", FAMILIES)
def test_a_decoder_reads_packed_rows_as_it_reads_rows_alone(family: str) -> None:
    model = decoder(family)
    assert choose_attention(model, CPU) == TREE_ATTENTION
    packed, alone = states_by(model, TREE_ATTENTION), states_by(model, ROW_ATTENTION)
    assert (packed - alone).abs().max() <= 1e-5


def test_blocks_on_a_cpu_read_what_runs_read() -> None:
    model = decoder("llama", attention_dropout=0.0)
    with torch.inference_mode():
        try:
            blocks = states_by(model, BLOCK_ATTENTION)
        except RuntimeError as error:  # FlexAttention is compiled, which takes a C++ compiler
            pytest.skip(f"FlexAttention does not run here: {str(error)[:80]}")
        assert (blocks - states_by(model, TREE_ATTENTION)).abs().max() <= 1e-5


def test_checkpointed_layers_give_the_same_gradient() -> None:
    model: Any = decoder("llama")
    choose_attention(model, CPU)
    gradients = []
    for checkpointed in (False, True):
        model.zero_grad()
        if checkpointed:
            model.gradient_checkpointing_enable()
        model.train()
        loss = read_tree(model, grow(FOREST), pad=0).square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        gradients.append(torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]))
    assert (gradients[1] - gradients[0]).abs().max() <= 1e-5 * gradients[0].abs().max()


def test_a_decoder_with_a_sliding_window_has_its_rows_read_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    model = decoder("mistral", sliding_window=4096)
    assert choose_attention(model, CPU) == ROW_ATTENTION
    assert "every row is read alone" in caplog.text
    # Rows alone are right for any causal decoder: a row in company reads as it does by itself.
    both = read_tree(model, grow(FOREST), pad=0)[grow(FOREST).paths[2]]
    single = read_tree(model, grow([FOREST[2]]), pad=0)
    assert (both - single).abs().max() <= 1e-6


def test_bfloat16_is_read_packed_too() -> None:
    model = decoder("llama").to(torch.bfloat16)
    assert choose_attention(model, CPU) == TREE_ATTENTION


def test_a_decoder_that_drops_the_runs_says_so() -> None:
    model: Any = decoder("llama")
    model.set_attn_implementation(TREE_ATTENTION)
    with pytest.raises(ValueError, match="does not hand the runs"):
        model(input_ids=torch.tensor([[1, 2]]))


def test_a_decoder_that_answers_wrongly_in_company_has_its_rows_read_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = decoder("llama")
    monkeypatch.setitem(reading.READERS, TREE_ATTENTION, lambda *_: torch.zeros(10, 32))
    assert choose_attention(model, CPU) == ROW_ATTENTION


def test_what_fills_a_row_up_changes_nothing_even_where_it_is_the_end_of_a_turn() -> None:
    model = decoder("llama")
    reading._use(model, ROW_ATTENTION)
    tree = grow(FOREST)
    end_of_turn = FOREST[0][-1]
    assert torch.equal(read_tree(model, tree, pad=0), read_tree(model, tree, pad=end_of_turn))
