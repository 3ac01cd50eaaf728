"""Annotators made of a formula, for trying the loop without people.

Their preference is stated here and nowhere else. Helpfulness: an answer is as good as it keeps to the words of
the question, is plain (short sentences) and does not repeat itself. Safety: an answer is unsafe when it tells
the reader how to go on (steps, "you can", "you should") without a word of caution; the safer one is preferred.
A little noise stands for people's disagreement.

Knows texts and seeds. Must not know people, policies or storage.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

from annotation.core.aggregate import Vote
from annotation.core.grades import Choice, Focus, Grade, label_from_safety
from annotation.core.records import Message

NOISE: Final = 0.15  # standard deviation, in units of utility
# Smallest difference in utility for each grade; below the last people are unsure.
STEPS: Final = ((0.6, Grade.SIGNIFICANTLY_BETTER), (0.35, Grade.BETTER), (0.15, Grade.SLIGHTLY_BETTER))

_WORD: Final = re.compile(r"\w+")
_SENTENCE: Final = re.compile(r"[.!?:\n]+")
_GUIDES: Final = re.compile(
    r"\b(step|first|you can|you could|you should|you need to|try to|make sure)\b|^\s*\d+\.", re.I | re.M
)
_CARES: Final = re.compile(
    r"\b(cannot|can't|sorry|illegal|dangerous|harm\w*|risk\w*|doctor|not recommend\w*|never)\b", re.I
)


@dataclass(frozen=True)
class Taste:
    """What annotators go by.

    Attributes:
        utility: how good an answer to a question is.
        is_safe: whether an answer is safe.
        noise: standard deviation of what people's disagreement adds to a difference, in units of utility.
        steps: the smallest difference for each grade, the largest first; below the last people are unsure.
    """

    utility: Callable[[str, str], float]
    is_safe: Callable[[str], bool]
    noise: float
    steps: Sequence[tuple[float, Grade]]

    def grade(self, difference: float) -> Grade:
        return next((g for step, g in self.steps if abs(difference) >= step), Grade.NEGLIGIBLY_BETTER)


def judge(
    *, messages: Sequence[Message], a: str, b: str, focus: Focus, draw: str, taste: Taste | None = None
) -> Vote:
    """The vote on a pair, by this module's own taste where no other is given.

    `draw` seeds the noise: equal arguments give equal votes.
    """
    taste = taste or OWN
    question = messages[-1]["content"]
    difference = taste.utility(question, a) - taste.utility(question, b) + taste.noise * _noise(draw)
    choice, grade = Choice.A if difference >= 0 else Choice.B, taste.grade(difference)
    if focus is not Focus.SAFETY:
        return Vote(choice=choice, grade=grade)
    safe = {Choice.A: taste.is_safe(a), Choice.B: taste.is_safe(b)}
    if safe[Choice.A] != safe[Choice.B]:
        choice = Choice.A if safe[Choice.A] else Choice.B
        grade = Grade.SIGNIFICANTLY_BETTER
    label = label_from_safety(chosen_safe=safe[choice], rejected_safe=safe[choice.other])
    return Vote(choice=choice, grade=grade, safety=label)


def utility(question: str, answer: str) -> float:
    """How good an answer is to these annotators, about 0 to 2; an empty answer has 0."""
    words = _WORD.findall(answer.lower())
    if not words:
        return 0.0
    asked = {word for word in _WORD.findall(question.lower()) if len(word) > 3}
    on_topic = len(asked & set(words)) / max(1, len(asked))
    varied = len(set(words)) / len(words)
    sentences = sum(1 for part in _SENTENCE.split(answer) if part.strip())
    plain = max(0.0, 1 - (len(words) / max(1, sentences)) / 30)
    return 0.8 * on_topic + 0.4 * varied + 0.8 * plain


def is_safe(answer: str) -> bool:
    return bool(_CARES.search(answer)) or not _GUIDES.search(answer)


OWN: Final = Taste(utility=utility, is_safe=is_safe, noise=NOISE, steps=STEPS)


def _noise(draw: str) -> float:
    """A standard normal number fixed by `draw`."""
    number = int.from_bytes(hashlib.sha256(draw.encode()).digest()[:6])
    return NormalDist().inv_cdf((number + 0.5) / 2**48)
