"""The token tree: the rule by hand, and the law that no layout changes a reward or a gradient."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rewardmodel.core.attention import TREE_ATTENTION
from rewardmodel.core.backbone import PolicyRef, backbone_of, load_causal_lm
from rewardmodel.core.layout import Batch, Trie, plan_batches
from rewardmodel.core.network import Pooling, RewardNetwork
from rewardmodel.core.reading import choose_attention
from rewardmodel.core.tree import grow
from rewardmodel.tests.trees import join, leaves

Rows = list[list[int]]

SCORE_TOLERANCE = 3e-6
GRADIENT_TOLERANCE = 1e-5  # relative to the largest entry of the gradient


def test_rows_that_share_a_prefix_become_a_preorder_trie() -> None:
    # Rows 7 8 1 2, 7 8 3 and 7 8 1: the tree is 7 - 8 - (1 - 2 | 3); preorder 7 8 1 2 3.
    tree = grow([[7, 8, 1, 2], [7, 8, 3], [7, 8, 1]])
    assert tree.tokens.tolist() == [7, 8, 1, 2, 3]
    assert tree.depth.tolist() == [0, 1, 2, 3, 2]
    # 7 and 8 have all five below them; token 1 (index 2) ends before index 4; leaves end behind themselves.
    assert tree.exit.tolist() == [5, 5, 4, 4, 5]
    assert [path.tolist() for path in tree.paths] == [[0, 1, 2, 3], [0, 1, 4], [0, 1, 2]]
    # The third row ends on an inner token of the tree.
    assert leaves(tree) == [3, 4, 2]


def test_a_token_sees_its_ancestors_and_itself() -> None:
    tree = grow([[7, 8, 1, 2], [7, 8, 3]])
    assert tree.may_attend().astype(int).tolist() == [
        [1, 0, 0, 0, 0],
        [1, 1, 0, 0, 0],
        [1, 1, 1, 0, 0],
        [1, 1, 1, 1, 0],
        [1, 1, 0, 0, 1],  # 3 sees 7 and 8, and neither 1 nor 2
    ]


def test_several_trees_in_a_row_do_not_see_each_other() -> None:
    both = join([grow([[7, 1], [7, 2]]), grow([[7, 1]])])
    assert both.tokens.tolist() == [7, 1, 2, 7, 1]
    assert both.depth.tolist() == [0, 1, 1, 0, 1]
    assert leaves(both) == [1, 2, 4]
    assert not both.may_attend()[3:, :3].any()


def test_equal_rows_share_a_leaf_and_a_row_without_a_token_is_refused() -> None:
    assert leaves(grow([[5, 6], [5, 6]])) == [1, 1]
    with pytest.raises(ValueError, match="every row needs a token"):
        grow([[5], []])
    with pytest.raises(ValueError, match="needs rows"):
        grow([])


token_rows = st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=9), min_size=1, max_size=8)


@given(token_rows)
def test_every_row_is_a_path_from_the_root_and_sees_exactly_its_own_past(rows: Rows) -> None:
    tree = grow(rows)
    sees = tree.may_attend()
    prefixes = {tuple(row[:length]) for row in rows for length in range(1, len(row) + 1)}
    # Each distinct prefix is computed exactly once.
    assert len(tree) == len(prefixes)
    for row, path in zip(rows, tree.paths, strict=True):
        assert tree.tokens[path].tolist() == row
        assert tree.depth[path].tolist() == list(range(len(row)))
        for place, index in enumerate(path):
            assert np.flatnonzero(sees[index]).tolist() == path[: place + 1].tolist()


@pytest.fixture(scope="module")
def network(tiny: PolicyRef) -> RewardNetwork:
    torch.manual_seed(0)
    backbone = backbone_of(load_causal_lm(tiny, torch.device("cpu")))
    assert choose_attention(backbone, torch.device("cpu")) == TREE_ATTENTION
    return RewardNetwork(
        backbone, width=backbone.config.hidden_size, pooling=Pooling.LAST_AND_MEAN, pad=256
    ).eval()


def alone(rows: Rows) -> list[Batch]:
    """One row a pass: the computation that all others are measured against."""
    return [Batch(grow([row]), (number,), (number,)) for number, row in enumerate(rows)]


def rewards_of(network: RewardNetwork, rows: Rows, batches: Sequence[Batch]) -> torch.Tensor:
    """Rewards in the order of the rows; the response is taken to be the last half of its row."""
    order = [number for batch in batches for number in batch.rows]
    read = torch.cat([network(batch, [len(rows[n]) // 2 for n in batch.rows]) for batch in batches])
    return read[torch.tensor(order).argsort()]


def gradients_of(network: RewardNetwork, rewards: torch.Tensor) -> torch.Tensor:
    network.zero_grad()
    weights = torch.linspace(-1, 1, len(rewards) + 1)[1:]
    (rewards * weights).sum().backward()  # type: ignore[no-untyped-call]
    return torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None])


def assert_same(network: RewardNetwork, rows: Rows, batches: Sequence[Batch]) -> None:
    expected = rewards_of(network, rows, alone(rows))
    found = rewards_of(network, rows, batches)
    assert (found - expected).abs().max() <= SCORE_TOLERANCE
    slope, reference = gradients_of(network, found), gradients_of(network, expected)
    assert (slope - reference).abs().max() <= GRADIENT_TOLERANCE * reference.abs().max()


# Tokens of the tiny model's vocabulary, few of them, so that rows share prefixes of every length.
rows_to_read = st.lists(st.lists(st.integers(40, 42), min_size=1, max_size=24), min_size=1, max_size=8)


@settings(max_examples=40, deadline=None)
@given(rows=rows_to_read)
def test_one_tree_gives_the_rewards_and_gradients_of_one_row_a_response(
    network: RewardNetwork, rows: Rows
) -> None:
    assert_same(network, rows, [Batch(grow(rows), tuple(range(len(rows))), ())])


@settings(max_examples=40, deadline=None)
@given(rows=rows_to_read, order=st.permutations(range(8)), cuts=st.sets(st.integers(1, 7)))
def test_any_packing_of_trees_into_a_row_gives_the_same(
    network: RewardNetwork, rows: Rows, order: list[int], cuts: set[int]
) -> None:
    mine = [number for number in order if number < len(rows)]
    edges = [0, *sorted(cut for cut in cuts if cut < len(rows)), len(rows)]
    groups = [mine[a:b] for a, b in pairwise(edges)]
    packed = join([grow([rows[n] for n in group]) for group in groups])
    assert_same(network, rows, [Batch(packed, tuple(mine), ())])


@settings(max_examples=40, deadline=None)
@given(rows=rows_to_read, budget=st.integers(1, 120), pairs=st.booleans())
def test_any_planned_layout_gives_the_same_and_keeps_items_together(
    network: RewardNetwork, rows: Rows, budget: int, pairs: bool
) -> None:
    items = [rows[i : i + 2] for i in range(0, len(rows), 2)] if pairs else [[row] for row in rows]
    batches = plan_batches(items, tokens_per_batch=budget)
    assert sorted(number for batch in batches for number in batch.rows) == list(range(len(rows)))
    assert sorted(item for batch in batches for item in batch.items) == list(range(len(items)))
    assert_same(network, rows, batches)


@given(rows=rows_to_read, budget=st.integers(24, 120))
def test_a_planned_batch_keeps_the_budget(rows: Rows, budget: int) -> None:
    assert all(
        batch.tokens <= budget for batch in plan_batches([[row] for row in rows], tokens_per_batch=budget)
    )


@given(rows=rows_to_read)
def test_distinct_tokens_are_those_of_the_tree(rows: Rows) -> None:
    counted = Trie()
    counted.add([np.array(row) for row in rows])
    assert counted.tokens == len(grow(rows))


def test_a_long_shared_prompt_is_computed_once() -> None:
    prompt = list(range(200))
    batches = plan_batches([[[*prompt, answer, 255]] for answer in range(16)], tokens_per_batch=4096)
    # 200 prompt tokens and 16 responses of 2 tokens.
    assert [batch.tokens for batch in batches] == [232]


def test_an_item_beyond_the_budget_has_a_batch_of_its_own() -> None:
    batches = plan_batches([[[1] * 50], [[2] * 5]], tokens_per_batch=20)
    assert sorted(batch.rows for batch in batches) == [(0,), (1,)]


def test_the_plan_does_not_depend_on_the_order_in_which_rows_arrive() -> None:
    rows = [[1, 2, 3], [1, 2, 4], [9, 9], [1, 5]]
    one = plan_batches([[row] for row in rows], tokens_per_batch=64)
    other = plan_batches([[row] for row in rows[::-1]], tokens_per_batch=64)
    assert [batch.tree.tokens.tolist() for batch in one] == [batch.tree.tokens.tolist() for batch in other]
