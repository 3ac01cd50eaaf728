"""What the free names of a project probably mean, from its first rows: a proposal that a person looks at.

Knows common names and words. Must not know how a tool writes its files.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, Final

from annotation.core.formats.fields import Row
from annotation.core.formats.mappings import MOST_VALUES, FieldMapping, Side
from annotation.core.formats.projects import Answer, Ranking, Sheet
from annotation.core.grades import Grade

PROMPTS: Final = (
    "prompt",
    "instruction",
    "question",
    "query",
    "input",
    "dialog",
    "conversation",
    "messages",
    "context",
)
FIRST: Final = frozenset({"a", "1", "left", "first", "one", "a1", "chosen"})
SECOND: Final = frozenset({"b", "2", "right", "second", "two", "a2", "rejected"})
TIES: Final = frozenset({"tie", "tied", "equal", "equally", "same", "both", "neither", "0"})
UNSAID: Final = frozenset({"skip", "unclear", "invalid", "unsure", "none"})
STRENGTHS: Final = (
    (frozenset({"significantly", "much", "far", "strongly"}), Grade.SIGNIFICANTLY_BETTER),
    (frozenset({"slightly", "somewhat", "little"}), Grade.SLIGHTLY_BETTER),
    (frozenset({"negligibly", "marginally", "barely"}), Grade.NEGLIGIBLY_BETTER),
    (frozenset({"better"}), Grade.BETTER),
)
WORD: Final = re.compile(r"[^\W_\d]+|\d+")
# Columns of an exported table that hold no text of the item.
HOUSEHOLD: Final = frozenset(
    {"id", "external_id", "metadata", "vectors", "status", "_server_id", "suggestions"}
)


@dataclass(slots=True)
class Seen:
    """The names in the first rows: which fields hold text or messages, and which answers were given to what."""

    fields: dict[str, None] = field(default_factory=dict)
    answers: dict[str, dict[str, None]] = field(default_factory=dict)
    rankings: set[str] = field(default_factory=set)

    def add(self, fields: Row, sheets: Iterable[Sheet]) -> None:
        for name in fields.names:
            if name not in HOUSEHOLD and "." not in name and _is_text(fields.get(name)):
                self.fields.setdefault(name)
        for sheet in sheets:
            for question, answer in sheet.answers.items():
                self._answered(question, answer)

    def _answered(self, question: str, answer: Answer) -> None:
        known = self.answers.setdefault(question, {})
        if isinstance(answer, Ranking):
            self.rankings.add(question)
        values = answer.ranks if isinstance(answer, Ranking) else (answer,)
        known.update(
            dict.fromkeys(value for value in values if len(known) < MOST_VALUES and len(value) <= 200)
        )


def _is_text(value: Any) -> bool:
    if isinstance(value, list):
        return bool(value) and isinstance(value[0], dict) and "content" in value[0]
    return isinstance(value, str) and bool(value.strip())


def guess_fields(seen: Seen) -> FieldMapping | None:
    """A mapping that may be right; None: the rows do not hold two texts and an answer to be mapped."""
    pair = _pair(list(seen.fields))
    prompt = _prompt([name for name in seen.fields if name not in (pair or ())])
    if pair is None or prompt is None:
        return None
    named: dict[str, Any] = {"prompt": prompt, "response_a": pair[0], "response_b": pair[1]}
    if (choice := _choice(seen, pair)) is not None:
        values = {value: side_of(value, pair) for value in seen.answers[choice]}
        grades = _grades(values) if choice not in seen.rankings else {}
        strength = {"grade": choice, "grades": grades} if grades else {}
        return FieldMapping(**named, choice=choice, values=values, **strength)
    if (
        ratings := _pair([q for q, values in seen.answers.items() if all(map(_is_number, values))])
    ) is not None:
        return FieldMapping(**named, rating_a=ratings[0], rating_b=ratings[1])
    return None


def _prompt(names: Sequence[str]) -> str | None:
    likely = sorted(
        names, key=lambda name: next((n for n, p in enumerate(PROMPTS) if p in name.lower()), len(PROMPTS))
    )
    return likely[0] if likely else None


def _words(name: str) -> list[str]:
    return WORD.findall(name.lower())


def _pair(names: Sequence[str]) -> tuple[str, str] | None:
    """Two names that differ in one word alone, which means the first and the second."""
    for one, other in combinations(names, 2):
        a, b = _words(one), _words(other)
        if len(a) == len(b) and a != b:
            (x, y), *more = [(x, y) for x, y in zip(a, b, strict=True) if x != y]
            if not more and x in FIRST and y in SECOND:
                return one, other
            if not more and x in SECOND and y in FIRST:
                return other, one
    return None


def _choice(seen: Seen, pair: tuple[str, str]) -> str | None:
    """The question with the most answers that mean a side, of those that know both sides."""

    def score(question: str) -> int:
        sides = [side_of(value, pair) for value in seen.answers[question]]
        known = sum(side in (Side.A, Side.B) for side in sides)
        return 0 if 2 * known < len(sides) else known

    best = max(seen.answers, key=score, default=None)
    return best if best is not None and score(best) else None


def side_of(value: str, pair: tuple[str, str]) -> Side:
    """What an answer to "which is better" seems to say of the pair of fields."""
    if value in pair:
        return Side.A if value == pair[0] else Side.B
    words = set(_words(value))
    first, second = bool(words & FIRST), bool(words & SECOND)
    if first is not second:
        return Side.A if first else Side.B
    return Side.TIE if words & TIES and not words & UNSAID else Side.NONE


def _grades(values: dict[str, Side]) -> dict[str, Grade | str]:
    """Grades of answers that speak of strength; a plain "better" is one only beside a stronger or a weaker word."""
    graded = {value: grade_of(value) for value, side in values.items() if side in (Side.A, Side.B)}
    if {grade for grade in graded.values() if grade} <= {Grade.BETTER}:
        return {}
    return {value: graded.get(value) or "" for value in values}


def grade_of(value: str) -> Grade | None:
    """The grade that an answer's words of strength mean, if it has such."""
    words = set(_words(value))
    return next((grade for marks, grade in STRENGTHS if words & marks), None)


def _is_number(value: str) -> bool:
    return value.lstrip("-").replace(".", "", 1).isdigit()
