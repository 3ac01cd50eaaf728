"""Noise on logits is sampling."""

from __future__ import annotations

import math

import pytest
import torch

from training.core.gumbel import Chooser, Draw, choose, nucleus

CPU = torch.device("cpu")


def test_gumbel_noise_samples_the_softmax() -> None:
    # Logits 0 and ln 3 at T = 1 give 1/4 and 3/4; at T = 2, sqrt(3) / (1 + sqrt(3)) = 0.634. With 4,000 draws a
    # standard deviation is below 0.008.
    for temperature, expected in ((1.0, 0.75), (2.0, 0.634)):
        choosers = [Chooser(Draw(temperature, 1.0, seed), CPU) for seed in range(4000)]
        logits = torch.tensor([[0.0, math.log(3)]]).repeat(4000, 1)
        share = sum(choose(logits, choosers)) / 4000
        assert share == pytest.approx(expected, abs=0.03)


def test_a_row_draws_the_same_alone_and_among_others() -> None:
    logits = torch.randn(3, 50, generator=torch.Generator().manual_seed(0))
    draws = [Draw(1.0, 1.0, 4), Draw(0.0, 1.0, 0), Draw(0.7, 0.9, 5)]
    together = [Chooser(draw, CPU) for draw in draws]
    twice = [choose(logits, together), choose(logits, together)]
    for row, draw in enumerate(draws):
        alone = Chooser(draw, CPU)
        assert [choose(logits[row][None], [alone])[0] for _ in range(2)] == [one[row] for one in twice]


def test_greedy_takes_the_most_likely_and_leaves_the_logits() -> None:
    logits = torch.tensor([[0.0, 2.0, 1.0], [5.0, 2.0, 1.0]])
    before = logits.clone()
    tokens = choose(logits, [Chooser(Draw(0.0, 1.0, 1), CPU), Chooser(Draw(1.0, 0.01, 1), CPU)])
    assert tokens == [1, 0]  # a nucleus of 0.01 holds the most likely token alone
    assert torch.equal(logits, before)


def test_the_nucleus_is_the_smallest_set_that_reaches_top_p() -> None:
    # Probabilities 0.15, 0.5, 0.05, 0.3. 0.5 + 0.3 reaches 0.7; 0.5 alone reaches 0.5; every set needs one.
    logits = torch.tensor([0.15, 0.5, 0.05, 0.3]).log().repeat(4, 1)
    kept = nucleus(logits, torch.tensor([[0.7], [0.5], [0.01], [1.0]])).isfinite().tolist()
    assert kept == [
        [False, True, False, True],
        [False, True, False, False],
        [False, True, False, False],
        [True, True, True, True],
    ]
