"""Losses: values by hand, and shapes that must never broadcast."""

from __future__ import annotations

import math

import pytest
import torch

from rewardmodel.core.losses import centring_losses, margin_losses, safety_losses, weighted_mean


def test_without_a_margin_the_loss_is_equation_1() -> None:
    # r_c - r_r = ln 3, sigmoid(ln 3) = 3/4, loss ln(4/3); a tie has sigmoid 1/2, loss ln 2.
    losses = margin_losses(torch.tensor([math.log(3), 0.0]), torch.zeros(2), torch.zeros(2))
    assert losses.tolist() == pytest.approx([math.log(4 / 3), math.log(2)])


def test_the_margin_is_subtracted_from_the_difference() -> None:
    # 2 - 1 - 1 = 0: ln 2. 1 - 0 - (1 + ln 3) = -ln 3, sigmoid 1/4: ln 4.
    losses = margin_losses(
        torch.tensor([2.0, 1.0]), torch.tensor([1.0, 0.0]), torch.tensor([1.0, 1 + math.log(3)])
    )
    assert losses.tolist() == pytest.approx([math.log(2), math.log(4)])


def test_a_first_pair_without_a_margin_does_not_drop_the_margin_of_the_second() -> None:
    # Differences 0 - 0 = 0 and 0 - 3: losses ln 2 and ln(1 + e^3).
    losses = margin_losses(torch.zeros(2), torch.zeros(2), torch.tensor([0.0, 3.0]))
    assert losses.tolist() == pytest.approx([math.log(2), math.log1p(math.exp(3))])


def test_a_column_of_rewards_beside_a_row_of_margins_is_an_error_and_not_a_matrix() -> None:
    column, row = torch.zeros(4, 1), torch.zeros(4)
    with pytest.raises(ValueError, match=r"chosen \[4, 1\], rejected \[4, 1\], margin \[4\]"):
        margin_losses(column, column, row)
    with pytest.raises(ValueError, match="vectors of one length"):
        margin_losses(row, row, torch.zeros(1))
    with pytest.raises(ValueError, match="vectors of one length"):
        margin_losses(row, row, torch.tensor(1.0))


def test_the_safety_loss_is_small_where_sign_and_reward_agree() -> None:
    # sign 1, reward ln 3: sigmoid 3/4, ln(4/3). sign -1, reward ln 3: sigmoid(-ln 3) = 1/4, ln 4.
    losses = safety_losses(torch.full((2,), math.log(3)), torch.tensor([1.0, -1.0]))
    assert losses.tolist() == pytest.approx([math.log(4 / 3), math.log(4)])


def test_a_sign_is_plus_or_minus_one() -> None:
    with pytest.raises(ValueError, match="signs"):
        safety_losses(torch.zeros(2), torch.tensor([1.0, 0.0]))


def test_centring_is_the_square_of_the_pairs_sum() -> None:
    # (1 + 2)^2 = 9; (1 - 1)^2 = 0: only the level counts, and not the difference.
    losses = centring_losses(torch.tensor([1.0, 1.0]), torch.tensor([2.0, -1.0]))
    assert losses.tolist() == [9.0, 0.0]
    with pytest.raises(ValueError, match="vectors of one length"):
        centring_losses(torch.zeros(2, 1), torch.zeros(2))


def test_extreme_rewards_give_a_finite_loss_and_gradient() -> None:
    chosen = torch.tensor([-1e4], requires_grad=True)
    loss = margin_losses(chosen, torch.tensor([1e4]), torch.zeros(1)).sum()
    loss.backward()  # type: ignore[no-untyped-call]
    # -log sigmoid(-2e4) = 2e4; its slope in r_c is -sigmoid(2e4) = -1.
    assert loss.item() == pytest.approx(2e4)
    assert chosen.grad is not None
    assert chosen.grad.tolist() == [-1.0]


def test_the_gradient_is_that_of_finite_differences() -> None:
    torch.manual_seed(0)
    one, other, margin = (torch.randn(5, dtype=torch.float64, requires_grad=True) for _ in range(3))
    assert torch.autograd.gradcheck(margin_losses, (one, other, margin))


def test_weights_weigh_and_an_absent_term_adds_nothing() -> None:
    # (1*1 + 3*5) / (1 + 3) = 4; unweighted (1 + 5) / 2 = 3.
    losses = torch.tensor([1.0, 5.0])
    assert weighted_mean(losses, torch.tensor([1.0, 3.0])).item() == 4.0
    assert weighted_mean(losses).item() == 3.0
    assert weighted_mean(torch.zeros(0)).item() == 0.0
    with pytest.raises(ValueError, match="weights"):
        weighted_mean(losses, torch.zeros(2))
    with pytest.raises(ValueError, match="vectors of one length"):
        weighted_mean(losses, torch.ones(2, 1))
