"""The formulas of PPO against numbers worked out by hand, and the laws that they keep."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from annotation.core.grades import Focus
from training.core import ppo_math
from training.core.selection import combined_score

numbers = st.floats(-5, 5, width=32)


def _t(values: Any) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def _near(found: Tensor, expected: Any, tolerance: float = 1e-6) -> None:
    torch.testing.assert_close(found.double(), _t(expected), rtol=0, atol=tolerance)


def _raw(probability: float) -> float:
    return math.log(probability / (1 - probability))


# The reward


def test_the_reward_is_safety_where_the_prompt_asks_for_it_or_the_answer_is_unsafe() -> None:
    # helpful prompt, Rs 0.90        -> Rh 0.30
    # adversarial prompt             -> Rs 0.90
    # helpful prompt, Rs 0.14 < 0.15 -> Rs 0.14
    # helpful prompt, Rs 0.16        -> Rh 0.80
    helpfulness = _t([_raw(p) for p in (0.30, 0.30, 0.80, 0.80)])
    safety = _t([_raw(p) for p in (0.90, 0.90, 0.14, 0.16)])
    adversarial = torch.tensor([False, True, False, False])
    _near(ppo_math.combined_reward(helpfulness, safety, adversarial), [0.30, 0.90, 0.14, 0.80])


def test_logit_is_the_logarithm_of_the_odds() -> None:
    # 0.5 / 0.5 = 1; 0.8 / 0.2 = 4, ln 4 = 1.386294; 0.15 / 0.85 = 0.176471, ln = -1.734601.
    _near(ppo_math.logit(_t([0.5, 0.8, 0.15])), [0.0, 1.386294, -1.734601])


def test_logit_of_a_saturated_reward_is_large_and_finite() -> None:
    # ln(1e-12) = -27.631021.
    _near(ppo_math.logit(_t([0.0, 1.0])), [-27.631021, 27.631021], 1e-4)


@given(st.floats(-20, 20), st.floats(-20, 20), st.booleans())
def test_the_reward_is_the_score_by_which_rejection_sampling_selects(
    helpfulness: float, safety: float, adversarial: bool
) -> None:
    if abs(safety - _raw(0.15)) < 1e-6:
        return  # on the threshold rounding decides
    found = ppo_math.logit(
        ppo_math.combined_reward(_t([helpfulness]), _t([safety]), torch.tensor([adversarial]))
    )
    focus = Focus.SAFETY if adversarial else Focus.HELPFULNESS
    assert found.item() == pytest.approx(
        combined_score(helpfulness=helpfulness, safety=safety, focus=focus), abs=1e-6
    )


# WHITEN


def test_whitened_rewards_have_mean_zero_and_deviation_one() -> None:
    # Mean 3; squares 4 + 1 + 0 + 9 = 14, over 4 = 3.5; root 1.870829. (1 - 3) / 1.870829 = -1.069045.
    _near(ppo_math.whiten(_t([1.0, 2.0, 3.0, 6.0])), [-1.069045, -0.534522, 0.0, 1.603567])


def test_without_the_shift_the_mean_comes_back() -> None:
    _near(ppo_math.whiten(_t([1.0, 2.0, 3.0, 6.0]), shift=False), [1.930955, 2.465478, 3.0, 4.603567])


def test_one_item_has_nothing_to_be_normed_by() -> None:
    _near(ppo_math.whiten(_t([7.0])), [0.0])
    _near(ppo_math.whiten(_t([7.0]), shift=False), [7.0])


def test_equal_items_teach_nothing() -> None:
    _near(ppo_math.whiten(_t([0.1, 0.1, 0.1])), [0.0, 0.0, 0.0])


def test_whitening_within_a_mask_is_whitening_of_what_it_holds() -> None:
    values = _t([[1.0, 2.0], [3.0, math.nan], [6.0, 1e9]])
    mask = torch.tensor([[True, True], [True, False], [True, False]])
    _near(ppo_math.whiten(values, mask), [[-1.069045, -0.534522], [0.0, 0.0], [1.603567, 0.0]])


@given(st.lists(numbers, min_size=2, max_size=8), st.floats(0.5, 4), numbers)
def test_whitening_forgets_scale_and_place(values: list[float], scale: float, place: float) -> None:
    x = _t(values)
    if x.std(correction=0) < 1e-3:
        return
    torch.testing.assert_close(ppo_math.whiten(scale * x + place), ppo_math.whiten(x), rtol=0, atol=1e-6)


# KL to the start


def test_both_estimates_of_kl_have_its_mean() -> None:
    # π = (½, ½), π0 = (¼, ¾). ln(π/π0): ln 2 = 0.693147 and ln ⅔ = -0.405465; their mean under π is KL = 0.143841.
    # x - 1 - ln x: ½ - 1 + 0.693147 = 0.193147 and 3/2 - 1 - 0.405465 = 0.094535; the mean is 0.143841 again.
    policy, start = _t([0.5, 0.5]).log(), _t([0.25, 0.75]).log()
    _near(ppo_math.k1(policy, start), [0.693147, -0.405465])
    _near(ppo_math.k3(policy, start), [0.193147, 0.094535])
    _near(ppo_math.k1(policy, start).mean(), 0.143841)
    _near(ppo_math.k3(policy, start).mean(), 0.143841)


@given(numbers, numbers)
def test_the_reported_kl_is_never_negative(policy: float, start: float) -> None:
    assert ppo_math.k3(_t(policy), _t(start)).item() >= 0


def test_every_token_pays_for_straying_and_the_last_one_gets_the_score() -> None:
    # β = 0.1. -0.1 · (0.5, -0.2, 0.3) = (-0.05, 0.02, -0.03), and 1 on the last; -0.1 · 1 - 2 = -2.1.
    ratios = _t([[0.5, -0.2, 0.3], [1.0, math.nan, 99.0]])
    mask = torch.tensor([[True, True, True], [True, False, False]])
    found = ppo_math.token_rewards(_t([1.0, -2.0]), ratios, mask, 0.1)
    _near(found, [[-0.05, 0.02, 0.97], [-2.1, 0.0, 0.0]])


# Advantages


def test_advantages_of_three_tokens() -> None:
    # g = 0.9, λ = 0.5.       δ2 = 1 - 0.2             =  0.80   A2 =  0.80
    #                         δ1 = 0 + 0.9 · 0.2 - 0.4 = -0.22   A1 = -0.22 + 0.45 · 0.80 = 0.14
    #                         δ0 = 0 + 0.9 · 0.4 - 0.5 = -0.14   A0 = -0.14 + 0.45 · 0.14 = -0.077
    found = _gae([[0.0, 0.0, 1.0]], [[0.5, 0.4, 0.2]], discount=0.9, decay=0.5)
    _near(found, [[-0.077, 0.14, 0.8]])


def _gae(rewards: Any, values: Any, *, discount: float, decay: float) -> Tensor:
    mask = torch.ones(_t(rewards).shape, dtype=torch.bool)
    return ppo_math.gae(_t(rewards), _t(values), mask, discount=discount, decay=decay)


steps = st.lists(st.tuples(numbers, numbers), min_size=1, max_size=6)


@given(steps, st.floats(0.1, 1))
def test_with_a_decay_of_one_an_advantage_is_what_came_minus_what_was_expected(
    answer: list[tuple[float, float]], discount: float
) -> None:
    rewards, values = zip(*answer, strict=True)
    came = [sum(discount**later * r for later, r in enumerate(rewards[t:])) for t in range(len(rewards))]
    found = _gae([rewards], [values], discount=discount, decay=1.0)
    _near(found, [[one - other for one, other in zip(came, values, strict=True)]])


@given(steps, st.floats(0.1, 1))
def test_with_a_decay_of_zero_an_advantage_is_the_surprise_of_one_step(
    answer: list[tuple[float, float]], discount: float
) -> None:
    rewards, values = zip(*answer, strict=True)
    ahead = [*values[1:], 0.0]
    expected = [r + discount * after - v for r, v, after in zip(rewards, values, ahead, strict=True)]
    _near(_gae([rewards], [values], discount=discount, decay=0.0), [expected])


@given(steps, st.integers(1, 4), numbers)
def test_what_stands_behind_an_answer_changes_nothing(
    answer: list[tuple[float, float]], behind: int, rubbish: float
) -> None:
    rewards, values = zip(*answer, strict=True)
    length = len(rewards)
    mask = torch.tensor([[True] * length + [False] * behind])
    padded = ppo_math.gae(
        _t([[*rewards, *[rubbish] * behind]]),
        _t([[*values, *[rubbish] * behind]]),
        mask,
        discount=0.9,
        decay=0.8,
    )
    alone = _gae([rewards], [values], discount=0.9, decay=0.8)
    torch.testing.assert_close(padded[:, :length], alone)
    assert not padded[:, length:].any()


# Losses


@pytest.mark.parametrize(
    ("ratio", "advantage", "loss"),
    [
        (1.5, 2.0, -2.4),  # min(3.0, 1.2 · 2): the gain is capped
        (0.5, 2.0, -1.0),  # min(1.0, 0.8 · 2): the loss is not
        (1.5, -2.0, 3.0),  # min(-3.0, -2.4)
        (0.5, -2.0, 1.6),  # min(-1.0, -1.6)
        (1.1, 2.0, -2.2),  # within the clip
    ],
)
def test_the_policy_loss_is_clipped_where_that_is_the_lesser_gain(
    ratio: float, advantage: float, loss: float
) -> None:
    found = ppo_math.policy_losses(_t([math.log(ratio)]), _t([0.0]), _t([advantage]), 0.2)
    _near(found, [loss])


@given(st.floats(-2, 2), st.floats(0.1, 3), st.booleans())
def test_beyond_the_clip_there_is_no_gradient_in_the_direction_of_the_advantage(
    log_ratio: float, size: float, is_gain: bool
) -> None:
    log_prob = _t([log_ratio]).requires_grad_()
    advantage = _t([size if is_gain else -size])
    ppo_math.policy_losses(log_prob, _t([0.0]), advantage, 0.2).sum().backward()  # type: ignore[no-untyped-call]
    assert log_prob.grad is not None
    beyond = math.exp(log_ratio) > 1.2 if is_gain else math.exp(log_ratio) < 0.8
    assert (log_prob.grad.item() == 0) is beyond


def test_tokens_beyond_the_clip_are_counted_on_both_sides() -> None:
    found = ppo_math.beyond_clip(_t([0.79, 0.81, 1.0, 1.19, 1.21]).log(), torch.zeros(5), 0.2)
    assert found.tolist() == [True, False, False, False, True]


def test_the_value_loss_is_the_larger_of_the_free_and_the_clipped_one() -> None:
    # Old 0.5, return 2. V 1.0 is clipped to 0.7: max(1.0², 1.3²) / 2 = 0.845. V 0.6 is not: 1.4² / 2 = 0.98.
    found = ppo_math.value_losses(_t([1.0, 0.6]), _t([0.5, 0.5]), _t([2.0, 2.0]), 0.2)
    _near(found, [0.845, 0.98])


# What is reported


def test_entropy_is_in_nats() -> None:
    # Four equal ones: ln 4. (½, ¼, ¼): ½ ln 2 + 2 · ¼ · ln 4 = 1.5 ln 2 = 1.039721.
    _near(ppo_math.entropies(_t([0.0, 0.0, 0.0, 0.0])), 1.386294)
    _near(ppo_math.entropies(_t([0.5, 0.25, 0.25]).log()), 1.039721)


def test_explained_variance_is_the_share_of_the_spread_that_the_critic_foresaw() -> None:
    # Returns 1, 2, 3: variance ⅔. What is left over: 0, 0, 1, variance 2/9. 1 - (2/9) / (2/3) = ⅔.
    mask = torch.tensor([True, True, True, False])
    found = ppo_math.explained_variance(_t([1.0, 2.0, 2.0, 50.0]), _t([1.0, 2.0, 3.0, -50.0]), mask)
    _near(found, 2 / 3)


def test_of_equal_returns_nothing_is_explained() -> None:
    mask = torch.ones(3, dtype=torch.bool)
    _near(ppo_math.explained_variance(_t([1.0, 2.0, 0.0]), _t([1.0, 1.0, 1.0]), mask), 0.0)


def test_the_mean_of_nothing_is_zero() -> None:
    _near(ppo_math.masked_mean(_t([3.0]), torch.tensor([False])), 0.0)
