"""A pair as the annotator's page gets it.

Speaks of left and right alone. Which response stands where is worked out here from the batch's seed, so that no
policy, temperature or order of rows reaches the page.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from annotation.core.grades import Choice
from annotation.core.ordering import left_choice
from annotation.models import Comparison, User
from annotation.rendering import render_markdown


def left_of(comparison: Comparison, annotator: User) -> Choice:
    """Which response this person sees on the left."""
    return left_choice(seed=comparison.batch.seed, comparison=comparison.key, annotator=annotator.pseudonym)


def item_of(comparison: Comparison, annotator: User, expires_at: datetime | None) -> dict[str, Any]:
    """The pair with both texts rendered; `comparison` has its batch, dialogue and responses selected."""
    a, b = comparison.response_a.text, comparison.response_b.text
    on_left, on_right = (a, b) if left_of(comparison, annotator) is Choice.A else (b, a)
    return {
        "key": comparison.key,
        "batch": comparison.batch.name,
        "focus": comparison.focus,
        "turns": [
            {"role": turn["role"], "html": render_markdown(turn["content"])}
            for turn in comparison.dialogue.messages
        ],
        "left": {"html": render_markdown(on_left)},
        "right": {"html": render_markdown(on_right)},
        "expires_at": expires_at,
    }
