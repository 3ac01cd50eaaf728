"""Sampling as noise on logits, so that each row of a batch has temperature, nucleus and seed of its own.

Knows logits and random numbers. Must not know models, text or what a batch is for.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple, cast

import torch
from transformers import LogitsProcessor


class Draw(NamedTuple):
    """How one row is sampled; temperature 0 is greedy."""

    temperature: float
    top_p: float
    seed: int


class GumbelMax(LogitsProcessor):
    """Turns the argmax of greedy search into a sample: argmax(logits / T + Gumbel noise) ~ softmax(logits / T).

    Unlike `torch.multinomial` on the whole batch, each row draws from a generator of its own, so that a row's
    sample does not depend on the batch around it, but for rounding, which may decide between near-equal tokens.
    CPU and GPU generators differ: a seed means the same sample on the same kind of device only.
    """

    def __init__(
        self,
        draws: Sequence[Draw],
        *,
        stops: Sequence[int],
        device: torch.device,
        check: Callable[[], None],
    ) -> None:
        self._rows = [row for row, draw in enumerate(draws) if draw.temperature > 0]
        sampled = [draws[row] for row in self._rows]
        self._generators = [torch.Generator(device).manual_seed(draw.seed) for draw in sampled]
        self._temperature = torch.tensor([[draw.temperature] for draw in sampled], device=device)
        self._top_p = torch.tensor([[draw.top_p] for draw in sampled], device=device)
        self._stops = frozenset(stops)
        self._check = check
        self._ended = [False] * len(draws)
        self.moments: list[float] = []  # when each step's logits were ready

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        """`input_ids` [rows, length], `scores` [rows, vocabulary]: the last position's logits in float32."""
        self._check()
        if self.moments:
            last = input_ids[:, -1].tolist()
            self._ended = [
                ended or token in self._stops for ended, token in zip(self._ended, last, strict=True)
            ]
        self.moments.append(time.perf_counter())
        if not self._rows:
            return scores
        noise = torch.ones(len(self._rows), scores.shape[1], device=scores.device)
        for row, own, generator in zip(self._rows, noise, self._generators, strict=True):
            if not self._ended[row]:
                own.exponential_(generator=generator)
        scaled = nucleus(scores[self._rows] / self._temperature, self._top_p) - noise.log()
        result = scores.clone()
        result[self._rows] = scaled
        return cast("torch.FloatTensor", result)


def nucleus(logits: torch.Tensor, top_p: torch.Tensor) -> torch.Tensor:
    """`logits` [rows, vocabulary] with -inf outside the smallest set of tokens whose probability reaches `top_p`.

    `top_p` [rows, 1]; a row of 1 is returned as it is. The most likely token always stays.
    """
    cut = (top_p < 1).squeeze(1)
    if not cut.any():
        return logits
    ordered, order = logits[cut].sort(dim=-1, descending=True, stable=True)
    probability = ordered.softmax(dim=-1)
    before = probability.cumsum(dim=-1) - probability
    ordered = ordered.masked_fill(before >= top_p[cut], -torch.inf)
    result = logits.clone()
    result[cut] = torch.empty_like(ordered).scatter_(1, order, ordered)
    return result
