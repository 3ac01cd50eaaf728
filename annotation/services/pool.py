"""The prompts that come with the house, so that a new installation has something to ask."""

from __future__ import annotations

from pathlib import Path

from annotation.core.grades import Focus
from annotation.services.prompts import NewPrompt, add_prompts

POOL = Path(__file__).resolve().parent.parent / "pool"


def install_default_prompts() -> int:
    """Add them to the pool; returns how many were new to it."""
    return add_prompts(
        NewPrompt(text=line, focus=focus, source="margin", language="en", licence="Apache-2.0")
        for focus in Focus
        for line in (POOL / f"{focus}.txt").read_text(encoding="utf-8").splitlines()
    )
