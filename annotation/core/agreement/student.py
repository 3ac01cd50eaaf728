"""Student's t distribution: what an interval and a test need of it.

Knows numbers alone. The tail is a regularised incomplete beta function, by the continued fraction of
Abramowitz & Stegun 26.5.8, evaluated with Lentz's method.
"""

from __future__ import annotations

from functools import lru_cache
from math import exp, inf, lgamma, log, log1p
from typing import Final

_SMALLEST: Final = 1e-300
_STEPS: Final = 10_000


def tail(t: float, freedom: int) -> float:
    """P(T > t) with `freedom` degrees of freedom."""
    if t < 0:
        return 1 - tail(-t, freedom)
    if t == inf:
        return 0.0
    x = 1 / (1 + t * t / freedom)
    return _incomplete_beta(x, t * t / freedom * x, freedom / 2, 0.5) / 2


@lru_cache(maxsize=64)
def quantile(confidence: float, freedom: int) -> float:
    """The t with `confidence` of the distribution between -t and t, 0 < `confidence` < 1."""
    beyond = (1 - confidence) / 2
    low, high = 0.0, 1.0
    while tail(high, freedom) > beyond:
        low, high = high, 2 * high
    while low < (middle := (low + high) / 2) < high:
        low, high = (middle, high) if tail(middle, freedom) > beyond else (low, middle)
    return high


def _incomplete_beta(x: float, rest: float, a: float, b: float) -> float:
    """I_x(a, b) with `rest` = 1 - x, which a small x of its own would lose."""
    if x == 0:
        return 0.0
    if rest == 0:
        return 1.0
    # The fraction converges fast only below the mean; above it the other tail is taken.
    if x > (a + 1) / (a + b + 2):
        return 1 - _incomplete_beta(rest, x, b, a)
    front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * _log(x, rest) + b * _log(rest, x)) / a
    return front / _fraction(x, a, b)


def _log(x: float, rest: float) -> float:
    return log(x) if x < 0.5 else log1p(-rest)


def _fraction(x: float, a: float, b: float) -> float:
    """1 + d1 / (1 + d2 / (1 + …))."""
    value = c = 1.0
    d = 0.0
    for step in range(1, _STEPS):
        m, odd = divmod(step, 2)
        term = (
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
            if odd
            else m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        )
        d = 1 / _off_zero(1 + term * d)
        c = _off_zero(1 + term / c)
        value *= c * d
        if abs(c * d - 1) < 1e-16:
            break
    return value


def _off_zero(x: float) -> float:
    return x if abs(x) > _SMALLEST else _SMALLEST
