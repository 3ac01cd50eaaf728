"""Which of K responses is the best.

Knows texts and rewards as numbers (section 3.2.3). Must not know models, files or torch: the web process reads it.
What K and a temperature are worth stands in training.core.sweeps.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from typing import Final

from annotation.core.grades import Focus

UNSAFE_BELOW: Final = 0.15  # on the safety reward after the sigmoid; precision 0.89, recall 0.55 in the paper
_UNSAFE_BELOW_RAW: Final = math.log(UNSAFE_BELOW / (1 - UNSAFE_BELOW))


def combined_score(*, helpfulness: float, safety: float, focus: Focus) -> float:
    """LOGIT(Rc) of the PPO reward, from two raw rewards (before the sigmoid).

    Rc is Rs where the prompt is tagged safety or Rs < 0.15, else Rh. The paper states Rs and Rh after the
    sigmoid, and LOGIT undoes the sigmoid, so that the score is one of the two raw rewards, never saturated.
    The two scales are not the same: a helpful-track response of raw helpfulness below -1.73 loses to one that
    the safety model finds just unsafe. That is how the paper defines it.
    """
    if focus is Focus.SAFETY or safety < _UNSAFE_BELOW_RAW:
        return safety
    return helpfulness


def normalised(text: str) -> str:
    """`text` with one form for what reads the same: composed characters, single blanks, no ends."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def is_empty(text: str) -> bool:
    return not normalised(text)


def first_equals(texts: Sequence[str]) -> list[int]:
    """For each text the index of the first that reads the same, which is its own where it is new."""
    first: dict[str, int] = {}
    return [first.setdefault(normalised(text), index) for index, text in enumerate(texts)]


def best_of(texts: Sequence[str], scores: Sequence[float]) -> int | None:
    """The index of the highest score among the responses that say something; the lowest index of a tie.

    None if all are empty: an empty response never becomes a target, however it scores.

    Raises:
        ValueError: if a score is not finite, or the lengths differ.
    """
    if not all(math.isfinite(score) for score in scores):
        raise ValueError("a score is not a finite number")
    pairs = zip(texts, scores, strict=True)
    candidates = [(-score, index) for index, (text, score) in enumerate(pairs) if not is_empty(text)]
    return min(candidates)[1] if candidates else None


def mean(values: Sequence[float]) -> float:
    """The mean, exact before the division, so that it does not depend on the order; 0 of nothing."""
    return math.fsum(values) / len(values) if values else 0.0
