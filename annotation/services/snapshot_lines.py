"""From pairs and what was said of them to the lines of a snapshot.

A line is what PreferenceRecord.to_line gives, made without a record: a million of them are written. Which rows come of
several judgments, annotation.core.aggregate says and nobody else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Final, NamedTuple

import orjson

from annotation.core.aggregate import AggregationRule, Outcome, Vote, outcomes
from annotation.core.grades import Choice, Grade, SafetyLabel
from annotation.core.recipe import Recipe
from annotation.models import Judgment, Prompt
from annotation.services.snapshot_rows import Page, Said

OPTIONS: Final = orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE
KINDS: Final = 65_536  # of what several people say together that are remembered

BOTH_SIDES: Final = "left out: resembles prompts of both sides"
SPLITS: Final = {b"r": "train", b"e": "test"}  # by the letter that ends a place

DISAGREE: Final = "left out: people disagree"
TOO_FEW: Final = "left out: too few judgments"
TOO_LITTLE: Final = "left out: too little agreement"


class Row(NamedTuple):
    """What a row says beside its texts, in the words of a line."""

    is_a: bool
    grade: str | None
    margin: float
    safety: str | None
    judgments: int
    weight: float


Rule = Callable[[tuple[Said, ...], float | None], "tuple[tuple[Row, ...], str]"]


class Lines:
    """Lines of a recipe, and how many there were of each kind."""

    def __init__(self, recipe: Recipe, posteriors: Mapping[int, float] | None = None) -> None:
        self._rule = _rule_of(recipe)
        self._numbered = recipe.aggregation is AggregationRule.EACH
        self._posteriors = posteriors or {}
        self._kinds: Counter[tuple[str, str, str | None, str | None]] = Counter()
        self.rows = 0
        self._left_out: Counter[str] = Counter()

    def of(self, batch: str, page: Page) -> Iterator[tuple[bytes, bytes]]:
        """(place, line) of a page's pairs. The place is the key, the row's number and the letter of its split."""
        said, rule, posteriors = page.said, self._rule, self._posteriors
        kinds, dumps, loads = self._kinds, orjson.dumps, orjson.loads
        for pk, key, focus, dialogue, turns, prompt, side, text_a, policy_a, text_b, policy_b in page.pairs:
            if (votes := said.get(pk)) is None:
                continue
            if side == Prompt.Split.NEITHER:
                self._left_out[BOTH_SIDES] += 1
                continue
            rows, why = rule(votes, posteriors.get(pk))
            if not rows:
                self._left_out[why] += 1
                continue
            split = "test" if side == Prompt.Split.TEST else "train"
            messages = loads(turns)
            self.rows += len(rows)
            for number, row in enumerate(rows):
                kinds[split, focus, row.grade, row.safety] += 1
                chosen_a = row.is_a
                yield (
                    f"{key}{number:04}{split[1]}".encode(),
                    dumps(
                        {
                            "batch": batch,
                            "chosen": text_a if chosen_a else text_b,
                            "chosen_policy": policy_a if chosen_a else policy_b,
                            "dialogue": dialogue,
                            "focus": focus,
                            "grade": row.grade,
                            # Where a comparison may have several rows, each has a name of its own.
                            "id": f"{key}.{number}" if self._numbered else key,
                            "judgments": row.judgments,
                            "margin": row.margin,
                            "messages": messages,
                            "prompt": prompt,
                            "rejected": text_b if chosen_a else text_a,
                            "rejected_policy": policy_b if chosen_a else policy_a,
                            "safety": row.safety,
                            "split": split,
                            "weight": row.weight,
                        },
                        option=OPTIONS,
                    ),
                )

    def counts(self) -> dict[str, int]:
        """Rows by split, focus, grade and label, and pairs left out by reason."""
        found = Counter(self._left_out)
        for (split, focus, grade, safety), count in self._kinds.items():
            for word in (
                f"split: {split}",
                f"focus: {focus}",
                f"grade: {grade or 'none'}",
                f"safety: {safety or 'none'}",
            ):
                found[word] += count
        return dict(sorted(found.items()))


def _rule_of(recipe: Recipe) -> Rule:
    """What people said to rows; why not, where there are none. Few things are said, so each is worked out once."""
    margins = recipe.margin_by_grade()

    def rows_of(said: tuple[Said, ...], posterior: float | None) -> tuple[tuple[Row, ...], str]:
        found = outcomes(recipe.aggregation, [_vote(one) for one in said], posterior=posterior)
        kept = [one for one in found if one.judgments >= recipe.min_judgments]
        if not kept:
            return (), TOO_FEW if found else DISAGREE
        agreed = [one for one in kept if one.weight >= recipe.min_agreement]
        return tuple(_row(one, margins) for one in agreed), TOO_LITTLE

    return lru_cache(KINDS)(rows_of)


def _row(outcome: Outcome, margins: Mapping[Grade | None, float]) -> Row:
    return Row(
        is_a=outcome.choice is Choice.A,
        grade=outcome.grade and outcome.grade.value,
        margin=float(margins[outcome.grade]),
        safety=outcome.safety and outcome.safety.value,
        judgments=outcome.judgments,
        weight=float(outcome.weight),
    )


def _vote(said: Said) -> Vote:
    choice, grade, safety, source = said
    return Vote(
        choice=Choice(choice),
        grade=Grade(grade) if grade else None,
        safety=SafetyLabel(safety) if safety else None,
        adjudicated=source == Judgment.Source.REVIEW,
    )
