"""The probe's optimum, by hand where it can be, and what it must not depend on."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from rewardmodel.core.probe import LinearHead, Preferences, fit
from rewardmodel.core.report import Silent


def preferences(pairs: int, **changes: Any) -> Preferences:
    """Row 2i is preferred to row 2i + 1."""
    fields: dict[str, Any] = {
        "chosen": torch.arange(0, 2 * pairs, 2),
        "rejected": torch.arange(1, 2 * pairs, 2),
        "margins": torch.zeros(pairs, dtype=torch.float64),
        "weights": torch.ones(pairs, dtype=torch.float64),
        "labelled": torch.zeros(0, dtype=torch.int64),
        "signs": torch.zeros(0, dtype=torch.float64),
    }
    return Preferences(**{**fields, **changes})


def solve(
    features: torch.Tensor, wanted: Preferences, *, l2: float = 0.01, safety: float = 1.0
) -> LinearHead:
    return fit(features, wanted, safety_loss_weight=safety, l2=l2, report=Silent())


def test_one_feature_and_one_pair_have_the_optimum_of_the_calculus() -> None:
    # Features 1 and -1 are standardised already. Minimise ln(1 + exp(-2w)) + l2 w^2:
    # the derivative vanishes where 2 sigmoid(-2w) = 2 l2 w. With l2 = sigmoid(-2) that is w = 1.
    l2 = 1 / (1 + math.exp(2))
    head = solve(torch.tensor([[1.0], [-1.0]]), preferences(1), l2=l2)
    assert head.weight.tolist() == pytest.approx([1.0], abs=1e-6)
    assert head.bias.item() == pytest.approx(0.0, abs=1e-9)
    assert head.loss == pytest.approx(math.log1p(math.exp(-2)) + l2)


def test_the_margin_moves_the_optimum() -> None:
    # As above with margin 1: 2 sigmoid(1 - 2w) = 2 l2 w; with l2 = sigmoid(-1), w = 1.
    wanted = preferences(1, margins=torch.ones(1, dtype=torch.float64))
    head = solve(torch.tensor([[1.0], [-1.0]]), wanted, l2=1 / (1 + math.e))
    assert head.weight.tolist() == pytest.approx([1.0], abs=1e-6)


def test_scale_and_offset_of_a_feature_do_not_matter() -> None:
    torch.manual_seed(0)
    features = torch.randn(40, 3, dtype=torch.float64)
    moved = features * torch.tensor([1e-3, 1.0, 1e3]) + torch.tensor([5.0, -7.0, 100.0])
    one, other = solve(features, preferences(20)), solve(moved, preferences(20))
    assert (moved @ other.weight + other.bias).tolist() == pytest.approx(
        (features @ one.weight + one.bias).tolist(), abs=1e-5
    )


def test_a_feature_that_never_varies_is_harmless() -> None:
    head = solve(torch.tensor([[1.0, 5.0], [-1.0, 5.0]]), preferences(1))
    assert head.weight[1].item() == 0.0
    assert torch.isfinite(head.weight).all()


def test_the_penalty_means_the_same_for_ten_times_the_data() -> None:
    # Ten copies of the data sharpen the loss tenfold against the prior: as ten times less l2 on one copy.
    torch.manual_seed(6)
    features = torch.randn(8, 3, dtype=torch.float64)
    chosen, rejected = torch.arange(0, 8, 2).repeat(10), torch.arange(1, 8, 2).repeat(10)
    tenfold = preferences(40, chosen=chosen, rejected=rejected)
    assert solve(features, tenfold, l2=0.5).weight.tolist() == pytest.approx(
        solve(features, preferences(4), l2=0.05).weight.tolist(), abs=1e-6
    )


def test_a_weight_of_two_is_the_pair_twice() -> None:
    torch.manual_seed(1)
    features = torch.randn(6, 2, dtype=torch.float64)
    twice = preferences(4, chosen=torch.tensor([0, 0, 2, 4]), rejected=torch.tensor([1, 1, 3, 5]))
    heavy = preferences(3, weights=torch.tensor([2.0, 1.0, 1.0], dtype=torch.float64))
    # 4 and 3 pairs: the penalties l2 F / B are equal where l2 is 0.04 and 0.03.
    assert solve(features, twice, l2=0.04).weight.tolist() == pytest.approx(
        solve(features, heavy, l2=0.03).weight.tolist(), abs=1e-6
    )


def test_the_bias_answers_to_safety_labels() -> None:
    # Two equal rows, one unsafe and three safe labels; no feature varies. Per label the loss is least where
    # sigmoid(b) = 3/4, b = ln 3, but for the small penalty.
    wanted = preferences(
        1,
        labelled=torch.tensor([0, 0, 0, 1]),
        signs=torch.tensor([1.0, 1.0, 1.0, -1.0], dtype=torch.float64),
    )
    head = solve(torch.zeros(2, 1), wanted, l2=1e-9)
    assert head.bias.item() == pytest.approx(math.log(3), abs=1e-4)


def test_labels_that_all_say_safe_do_not_run_away() -> None:
    wanted = preferences(1, labelled=torch.arange(2), signs=torch.ones(2, dtype=torch.float64))
    assert math.isfinite(solve(torch.tensor([[1.0], [-1.0]]), wanted).bias.item())


def test_centring_moves_the_level_and_not_the_order() -> None:
    # Rewards b + w and b - w: (r_c + r_r)^2 = 4 b^2, whatever w. Two labels say "safe": without centring b runs up to
    # where the penalty stops it; with much of it b stays near 0.
    wanted = preferences(1, labelled=torch.arange(2), signs=torch.ones(2, dtype=torch.float64))
    features = torch.tensor([[1.0], [-1.0]])
    free, centred = (
        fit(features, wanted, safety_loss_weight=1.0, l2=0.01, report=Silent(), centring_weight=weight)
        for weight in (0.0, 10.0)
    )
    assert free.bias.item() > 1
    # 80 b is balanced by the labels' slope, which is at most 1.
    assert 0 < centred.bias.item() < 1 / 80
    assert centred.weight.item() > 0.5


def test_without_the_safety_loss_labels_change_nothing() -> None:
    torch.manual_seed(2)
    features = torch.randn(4, 2)
    labelled = preferences(2, labelled=torch.arange(4), signs=-torch.ones(4, dtype=torch.float64))
    unlabelled = solve(features, preferences(2))
    assert (solve(features, labelled, safety=0.0).weight == unlabelled.weight).all()


def test_the_same_data_gives_the_same_bits() -> None:
    torch.manual_seed(3)
    features = torch.randn(60, 20)
    one = solve(features, preferences(30))
    torch.manual_seed(4)
    assert (solve(features, preferences(30)).weight == one.weight).all()


def test_the_gradient_at_the_result_is_zero() -> None:
    torch.manual_seed(5)
    features = torch.randn(200, 60, dtype=torch.float64)
    features = (features - features.mean(0)) / features.std(0, correction=0)
    head = solve(features, preferences(100), l2=0.001)
    # With standardised features the objective's gradient is mean(-sigmoid(-d) x) + 2 l2 F/B w; F/B = 60/100.
    difference = features[::2] - features[1::2]
    slope = -torch.sigmoid(-(difference @ head.weight))
    gradient = (slope[:, None] * difference).mean(0) + 2 * 0.001 * 0.6 * head.weight
    assert gradient.abs().max() < 1e-6
