"""Bugs that were found in other reward-model code, each with the tests that keep it out of ours.

`KEPT_OUT` says where; what is not tested elsewhere is tested here.
"""

from __future__ import annotations

import ast
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from annotation.core.grades import Focus, Grade, MarginTable, SafetyLabel
from rewardmodel.core.artifact import build_network, load_network, save_network
from rewardmodel.core.backbone import PolicyRef, load_tokenizer
from rewardmodel.core.layout import plan_batches
from rewardmodel.core.probe import fit
from rewardmodel.core.ranks import Ranks
from rewardmodel.core.report import Silent
from rewardmodel.core.rows import Pair, RowEncoder
from rewardmodel.core.scorer import score_rows
from rewardmodel.core.spec import Recipe
from rewardmodel.core.targets import preferences_of, training_pair_of
from rewardmodel.core.tuning import accumulate
from rewardmodel.tests.examples import make_record
from rewardmodel.tests.pairs import plan_of, spec_of, tiny_network, training_pairs

ROOT = Path(__file__).resolve().parents[2]
HERE = "rewardmodel/tests"

KEPT_OUT = {
    "the margin is dropped when the first row of a batch has none": [
        f"{HERE}/test_losses.py::test_a_first_pair_without_a_margin_does_not_drop_the_margin_of_the_second",
        f"{HERE}/test_known_bugs.py::test_every_margin_table_reaches_the_loss_of_every_recipe",
    ],
    "a margin [B] minus a reward [B, 1] becomes a loss [B, B]": [
        f"{HERE}/test_losses.py::test_a_column_of_rewards_beside_a_row_of_margins_is_an_error_and_not_a_matrix",
        f"{HERE}/test_known_bugs.py::test_rewards_are_a_vector",
    ],
    "a margin is accepted and ignored": [
        f"{HERE}/test_train.py::test_the_margin_table_is_not_ignored",
        f"{HERE}/test_known_bugs.py::test_every_margin_table_reaches_the_loss_of_every_recipe",
    ],
    "the score is read at the token before EOS when pad = EOS": [
        f"{HERE}/test_backbone.py::test_a_tokenizer_that_pads_with_its_end_of_turn_is_given_another_pad",
        f"{HERE}/test_scorer.py::test_the_reward_is_read_at_the_end_of_turn_and_not_before_it",
        f"{HERE}/test_known_bugs.py::test_filling_up_with_the_end_of_turn_changes_no_reward",
    ],
    "right truncation makes chosen and rejected equal": [
        f"{HERE}/test_rows.py::test_a_pair_that_does_not_fit_is_reported_and_not_cut_to_equal_rows",
        f"{HERE}/test_rows.py::test_a_long_prompt_loses_its_oldest_exchanges_whole",
    ],
    "epochs are counted twice in the schedule of the learning rate": [
        f"{HERE}/test_tuning.py::test_the_learning_rate_falls_to_a_tenth_at_the_end_of_the_last_epoch_and_not_of_the_first",
    ],
    "shards lose the last items": [
        f"{HERE}/test_known_bugs.py::test_processes_share_out_every_item_once",
        f"{HERE}/test_training_process.py::test_two_processes_make_the_model_that_one_makes",
    ],
    "the score head is lost on saving an adapter": [
        f"{HERE}/test_known_bugs.py::test_the_head_is_stored_beside_what_else_was_learnt",
        f"{HERE}/test_scorer.py::test_a_lost_or_changed_head_is_refused",
    ],
    "double BOS": [f"{HERE}/test_backbone.py::test_a_template_that_writes_bos_gives_one_and_not_two"],
    "training and scoring use different templates": [
        f"{HERE}/test_scorer.py::test_a_stored_model_gives_the_metrics_it_was_stored_with",
        f"{HERE}/test_scorer.py::test_another_chat_template_is_refused",
    ],
    "a boolean 4-D mask with eager attention is silently wrong": [
        f"{HERE}/test_attention.py::test_a_decoder_reads_packed_rows_as_it_reads_rows_alone",
        f"{HERE}/test_known_bugs.py::test_attention_is_never_eager",
    ],
    "the vocabulary's logits are computed for nothing": [
        f"{HERE}/test_backbone.py::test_the_backbone_computes_hidden_states_and_no_logits",
    ],
    "a task longer than the broker's visibility timeout is started again": [
        "training/tests/test_run_services.py::test_of_two_claims_one_wins",
        "training/tests/test_run_services.py::test_a_second_message_for_an_ended_run_claims_nothing",
        "training/tests/test_cli_process.py::test_a_second_process_on_the_same_folder_leaves_it_alone",
    ],
}


@pytest.mark.parametrize("bug", KEPT_OUT)
def test_the_tests_that_keep_it_out_are_there(bug: str) -> None:
    for test in KEPT_OUT[bug]:
        path, _, name = test.partition("::")
        tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
        assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def pairs_of(tiny: PolicyRef, *grades: Grade, margin: float = 0.0) -> list[Pair]:
    encoder = RowEncoder(load_tokenizer(tiny), 256)
    found = []
    for number, grade in enumerate(grades):
        pair = encoder.pair(make_record(number, grade=grade, margin=margin))
        assert pair is not None
        found.append(pair)
    return found


# Table 27, of a pair without a margin and one significantly better.
MARGINS = {"none": (0, 0), "small": (0, 1), "large": (0, 3), "own": (0.25, 0.25)}


@pytest.mark.parametrize("recipe", ["probe", "gradient"])
@pytest.mark.parametrize("table", MarginTable)
def test_every_margin_table_reaches_the_loss_of_every_recipe(
    tiny: PolicyRef, table: MarginTable, recipe: str
) -> None:
    # Where every reward is 0 a pair's loss is -log sigmoid(-m) = log(1 + e^m).
    pairs = pairs_of(tiny, Grade.NEGLIGIBLY_BETTER, Grade.SIGNIFICANTLY_BETTER, margin=0.25)
    expected = sum(math.log1p(math.exp(margin)) for margin in MARGINS[table]) / 2
    spec = spec_of(margin_table=table)
    if recipe == "probe":  # held at 0 by its penalty
        head = fit(
            torch.tensor([[1.0], [-1.0], [1.0], [-1.0]]),
            preferences_of(pairs, spec),
            safety_loss_weight=1.0,
            l2=1e9,
            report=Silent(),
        )
        loss = head.loss
    else:
        network = tiny_network(tiny)
        torch.nn.init.zeros_(network.head.weight)
        loss = accumulate(network, [training_pair_of(pair, spec) for pair in pairs], plan_of())
    assert loss == pytest.approx(expected, rel=1e-5)


def test_rewards_are_a_vector(tiny: PolicyRef) -> None:
    (batch,) = plan_batches([[[1, 2, 3], [1, 2, 4]], [[5, 6], [5, 7]]], tokens_per_batch=64)
    assert tiny_network(tiny)(batch, [1] * 4).shape == (4,)


@pytest.mark.parametrize("recipe", ["probe", "full"])
def test_filling_up_with_the_end_of_turn_changes_no_reward(tiny: PolicyRef, recipe: str) -> None:
    tokenizer = load_tokenizer(tiny)
    rows = [row for pair in pairs_of(tiny, *[Grade.BETTER] * 3) for row in (pair.chosen, pair.rejected)]
    found = []
    for pad in (int(tokenizer.pad_token_id), int(tokenizer.eos_token_id)):
        spec = spec_of(recipe=recipe)
        network = build_network(tiny, spec, pad=pad, device=torch.device("cpu"), seed=0)
        torch.manual_seed(0)
        torch.nn.init.normal_(network.head.weight)
        torch.nn.init.zeros_(network.head.bias)
        found.append(score_rows(network, rows, 4096))
    assert found[0] == found[1]
    assert len(set(found[0])) > 1


@pytest.mark.parametrize("items", [1, 3, 10, 64])
def test_processes_share_out_every_item_once(items: int) -> None:
    shares = [list(Ranks(index, 4).share(items)) for index in range(4)]
    assert sorted(number for share in shares for number in share) == list(range(items))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_the_gradients_of_processes_sum_to_that_of_one(tiny: PolicyRef) -> None:
    network, plan = tiny_network(tiny), plan_of(tokens_per_batch=64, centring_weight=0.1)
    pairs = training_pairs(tiny, 10, safety=SafetyLabel.CHOSEN_SAFE, focus=Focus.SAFETY)
    found = []
    for ranks in ([Ranks()], [Ranks(index, 4) for index in range(4)]):
        network.zero_grad()
        loss = sum(accumulate(network, pairs, plan, rank) for rank in ranks)
        found.append((loss, [p.grad.clone() for p in network.parameters() if p.grad is not None]))
    (one_loss, one), (other_loss, other) = found
    assert other_loss == pytest.approx(one_loss, rel=1e-6)
    for expected, slope in zip(one, other, strict=True):
        torch.testing.assert_close(slope, expected, rtol=1e-5, atol=1e-5 * float(expected.abs().max()))


@pytest.mark.parametrize("recipe", ["probe", "lora", "full"])
def test_the_head_is_stored_beside_what_else_was_learnt(tiny: PolicyRef, tmp_path: Path, recipe: str) -> None:
    network = tiny_network(tiny, recipe)
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.requires_grad:
                parameter.add_(0.01 * torch.randn_like(parameter))
    save_network(network, Recipe(recipe), tmp_path, tiny)
    manifest = {
        "params": spec_of(recipe=recipe).model_dump(mode="json"),
        "recipe": recipe,
        "dtype": "float32",
    }
    again = load_network(tmp_path, manifest, tiny, pad=256, device=torch.device("cpu"))
    assert torch.equal(again.head.weight, network.head.weight)
    assert torch.equal(again.head.bias, network.head.bias)
    rows = [pair.chosen for pair in pairs_of(tiny, Grade.BETTER, Grade.SLIGHTLY_BETTER)]
    assert score_rows(again, rows, 4096) == pytest.approx(score_rows(network, rows, 4096), abs=1e-6)


@pytest.mark.parametrize("recipe", ["probe", "lora", "full"])
def test_attention_is_never_eager(tiny: PolicyRef, recipe: str) -> None:
    backbone: Any = tiny_network(tiny, recipe).backbone
    assert backbone.config._attn_implementation != "eager"
