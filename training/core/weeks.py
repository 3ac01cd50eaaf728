"""What simulated weeks came to: how good the answers of each policy really are, in the toy world's own utility.

Knows answers, requests and intervals. Must not know policies, runs or files.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import Any, Final

from annotation.core.toy_world import Ask, Request, requests, utility

Z: Final = 1.96  # a 95 % interval of a mean


def held_out() -> list[Request]:
    """The requests on which every policy is measured; none of them is ever in the pool."""
    return [request for request in requests() if request.held_out]


def worth_of(answers: Sequence[Sequence[str]]) -> list[float]:
    """Mean utility of the answers to each held-out request, in their order."""
    return [
        fmean(utility(request.text, answer) for answer in given)
        for request, given in zip(held_out(), answers, strict=True)
    ]


def measured(worth: Sequence[float]) -> dict[str, Any]:
    """Mean over requests with its interval, and the mean of each kind of request."""
    by_ask = {
        ask.value: fmean(
            value for value, request in zip(worth, held_out(), strict=True) if request.ask is ask
        )
        for ask in Ask
    }
    return {"utility": fmean(worth), "interval": _interval(worth), "by_request": by_ask}


def gain(worth: Sequence[float], before: Sequence[float]) -> dict[str, Any]:
    """Mean difference to another policy on the same requests, with its interval."""
    differences = [now - then for now, then in zip(worth, before, strict=True)]
    low, high = _interval(differences)
    return {"gain": fmean(differences), "interval": [low, high], "certain": low > 0}


def rises(gains: Sequence[Mapping[str, Any]]) -> bool:
    """Whether every policy is better than the one before it, beyond the interval."""
    return all(one["certain"] for one in gains)


def _interval(values: Sequence[float]) -> list[float]:
    """The normal interval of a mean of independent requests."""
    half = Z * stdev(values) / math.sqrt(len(values))
    return [fmean(values) - half, fmean(values) + half]
