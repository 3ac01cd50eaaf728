"""Drawing by hash: the same seed and names give the same draw, in any order and on any machine.

Must not know what is drawn for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence


def draw(*parts: object) -> int:
    """64 bits that depend on the parts alone."""
    return int.from_bytes(hashlib.sha256(":".join(map(str, parts)).encode()).digest()[:8])


def draw_seed(*parts: object) -> int:
    """A seed that every server and every column takes."""
    return draw(*parts) % 2**31


def two_temperatures(pool: Sequence[float], *, seed: int, key: str) -> tuple[float, float]:
    """Two different temperatures where there are two, in an order that says nothing about the policy."""
    drawn = draw(seed, key, "temperature")
    first = drawn % len(pool)
    step = 1 + (drawn // len(pool)) % max(1, len(pool) - 1)
    return pool[first], pool[(first + step) % len(pool)]
