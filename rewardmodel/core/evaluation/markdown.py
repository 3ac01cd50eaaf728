"""Numbers and other people's words in the Markdown of a card, written so that they stay text.

Knows characters. Must not know what is told.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def plain(text: str) -> str:
    """Text of people's as a line of Markdown that is nothing but text."""
    line = " ".join(text.split())
    return "".join(f"\\{one}" if one in "\\|[]<>*#_`" else one for one in line)


def percent(value: float | None) -> str:
    """A share in per cent, "-" where it is not known."""
    return "-" if value is None else f"{100 * value:.1f}"


def with_interval(found: Mapping[str, Any], value: str = "accuracy") -> str:
    """A share in per cent and its interval behind it."""
    if found[value] is None:
        return "-"
    if found["low"] is None:
        return percent(found[value])
    return f"{percent(found[value])} ({percent(found['low'])} to {percent(found['high'])})"


def points(found: Mapping[str, Any] | None) -> str:
    """A difference of shares in points, with its sign and interval."""
    if not found or found["difference"] is None:
        return "-"
    text = f"{100 * found['difference']:+.1f}"
    if found["low"] is None:
        return text
    return f"{text} ({100 * found['low']:+.1f} to {100 * found['high']:+.1f})"


def number(value: float | None, digits: int = 3) -> str:
    """A number to so many significant digits, "-" where it is not known."""
    return "-" if value is None else f"{value:.{digits}g}"
