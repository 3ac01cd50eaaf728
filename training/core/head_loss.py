"""The loss of a vocabulary's head without the table of all its logits: made and used up a few rows at a time.

Knows hidden states, a linear head and which tokens come next. Must not know trees, text or steps of training.

A pass of T tokens and a vocabulary of V would hold T x V logits, their softmax and their gradient, which is more than
the decoder itself holds. Since the loss is a sum, its gradient is known as soon as a row's logits are: it is taken at
once, in the logits' own memory. The idea is that of fused cross-entropies such as Liger's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

LOGITS_AT_ONCE: Final = {"cpu": 2**24, "cuda": 2**27}  # 64 MB and 512 MB in float32


@dataclass(frozen=True)
class Asked:
    """Which tokens come next, on the states' device: N of them, after R states.

    Attributes:
        place: which state each comes after, ascending, shape [N].
        token: the token, shape [N].
        count: its weight in the sum, float32, shape [N].
    """

    place: Tensor
    token: Tensor
    count: Tensor


def summed_loss(states: Tensor, head: nn.Linear, asked: Asked) -> Tensor:
    """Sum of count x -log p(token | state), a scalar in float32; `states` has shape [R, width].

    Gradients flow to the states, and to the head's weight and bias where they learn.
    """
    untyped: Any = _SummedLoss
    loss: Tensor = untyped.apply(states, head.weight, head.bias, asked)
    return loss


@torch.no_grad()
def losses(states: Tensor, head: nn.Linear, asked: Asked) -> Tensor:
    """-log p(token | state) of each token asked for, in nats, float32, shape [N]."""
    found = torch.empty(len(asked.token), device=states.device)
    for rows, here, logits in _pieces(states, head.weight, head.bias, asked):
        place = asked.place[here] - rows.start
        found[here] = logits.logsumexp(dim=1)[place] - logits[place, asked.token[here]]
    return found


class _SummedLoss(torch.autograd.Function):
    """Takes the gradient together with the loss; going back only scales it."""

    @staticmethod
    def forward(ctx: Any, states: Tensor, weight: Tensor, bias: Tensor | None, asked: Asked) -> Tensor:
        learns = ctx.needs_input_grad
        to_states = torch.empty_like(states) if learns[0] else None
        to_weight = torch.zeros_like(weight, dtype=torch.float32) if learns[1] else None
        to_bias = torch.zeros_like(bias, dtype=torch.float32) if bias is not None and learns[2] else None
        dtype = _dtype(weight)
        total = torch.zeros((), device=states.device)
        for rows, here, logits in _pieces(states, weight, bias, asked):
            place, token, count = asked.place[here] - rows.start, asked.token[here], asked.count[here]
            weights = count.new_zeros(len(logits)).index_add_(0, place, count)
            norm = logits.logsumexp(dim=1)
            total += (weights * norm).sum() - (count * logits[place, token]).sum()
            # From here on they are the gradient: weight x softmax, less the count at each token that came.
            logits.sub_(norm[:, None]).exp_().mul_(weights[:, None])
            logits.index_put_((place, token), -count, accumulate=True)
            gradient = logits.to(dtype)
            if to_states is not None:
                to_states[rows] = (gradient @ weight.to(dtype)).to(states.dtype)
            if to_weight is not None and dtype is torch.float32:
                to_weight.addmm_(gradient.T, states[rows].float())
            elif to_weight is not None:
                to_weight += gradient.T @ states[rows].to(dtype)
            if to_bias is not None:
                to_bias += logits.sum(dim=0)
        ctx.gradients = (to_states, to_weight, to_bias, None)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, scale: Tensor) -> tuple[Tensor | None, ...]:
        return tuple(None if one is None else one.mul_(scale) for one in ctx.gradients)


def _pieces(
    states: Tensor, weight: Tensor, bias: Tensor | None, asked: Asked
) -> Iterator[tuple[slice, slice, Tensor]]:
    """Some rows of the states, what is asked of them, and their logits in float32, which the caller may write over."""
    dtype = _dtype(weight)
    size = max(1, LOGITS_AT_ONCE.get(states.device.type, 2**24) // len(weight))
    starts = range(0, len(states), size)
    edges = torch.tensor([*starts, len(states)], device=asked.place.device)
    bounds = torch.searchsorted(asked.place, edges).tolist()
    for number, start in enumerate(starts):
        rows = slice(start, min(start + size, len(states)))
        logits = states[rows].to(dtype) @ weight.to(dtype).T
        if bias is not None:
            logits = logits + bias.to(dtype)
        yield rows, slice(bounds[number], bounds[number + 1]), logits.float()


def _dtype(weight: Tensor) -> torch.dtype:
    """What the products are computed in: as autocast would."""
    on_gpu = weight.device.type == "cuda" and torch.is_autocast_enabled("cuda")
    return torch.get_autocast_dtype("cuda") if on_gpu else weight.dtype
