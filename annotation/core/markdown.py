"""Markdown and YAML of cards: tables, and strings that stay strings.

Knows characters. Must not know what is told.
"""

from __future__ import annotations

import json
from collections.abc import Sequence


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; cells are Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def quoted(text: str) -> str:
    """A string as JSON, which YAML reads."""
    return json.dumps(" ".join(text.split()), ensure_ascii=False)
