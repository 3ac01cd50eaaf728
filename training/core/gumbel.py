"""Sampling as noise on logits, so that each row of a batch has temperature, nucleus and seed of its own.

Knows logits and random numbers. Must not know models, text or what a batch is for.

argmax(logits / T + Gumbel noise) is a sample of softmax(logits / T). Unlike `torch.multinomial` on a whole batch, each
row draws its noise from a generator of its own, so that its sample does not depend on the rows around it, but for
rounding, which may decide between near-equal tokens. CPU and GPU generators differ: a seed means the same sample on the
same kind of device only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Draw(NamedTuple):
    """How one row is sampled; temperature 0 is greedy."""

    temperature: float
    top_p: float
    seed: int


class Chooser:
    """One row's choice of tokens; it goes on where its generator stands."""

    def __init__(self, draw: Draw, device: torch.device) -> None:
        self.draw = draw
        self.generator = (
            torch.Generator(device).manual_seed(draw.seed)
            if draw.temperature > 0
            else None  # greedy: nothing is drawn
        )


def choose(logits: Tensor, choosers: Sequence[Chooser]) -> list[int]:
    """The next token of each row, from `logits` [rows, vocabulary]."""
    scores = logits.float()
    sampled = [row for row, chooser in enumerate(choosers) if chooser.generator is not None]
    if sampled:
        noisy = _noisy(scores[sampled], [choosers[row] for row in sampled])
        if len(sampled) == len(choosers):
            scores = noisy
        else:
            scores = scores.clone()
            scores[sampled] = noisy
    tokens: list[int] = scores.argmax(dim=-1).tolist()
    return tokens


def _noisy(scores: Tensor, choosers: Sequence[Chooser]) -> Tensor:
    """-log(-log(u)) of a uniform u is a Gumbel variable; made so, it takes a third of what exponential_ takes."""
    noise = torch.empty_like(scores)
    for own, chooser in zip(noise, choosers, strict=True):
        own.uniform_(generator=chooser.generator)  # in [0, 1), where 0 becomes -inf
    temperature = scores.new_tensor([[chooser.draw.temperature] for chooser in choosers])
    top_p = scores.new_tensor([[chooser.draw.top_p] for chooser in choosers])
    return nucleus(scores / temperature, top_p) - noise.log_().neg_().log_()


def nucleus(logits: Tensor, top_p: Tensor) -> Tensor:
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
