"""How far the people of a batch agree, from its judgments as they are now.

Knows rows; what is made of them stands in quality_figures and quality_couples. One query brings all that a page shows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from annotation.core.agreement.coefficients import Coefficient
from annotation.core.agreement.reading import Read
from annotation.core.categories import RiskCategory
from annotation.core.grades import Choice, Focus, Grade, SafetyLabel
from annotation.core.shares import Ints
from annotation.core.states import BatchState, ComparisonState
from annotation.models import Batch, Judgment, User
from annotation.models.judgments import JudgmentQuerySet
from annotation.quality_couples import Couples, couples_of, grades_beside
from annotation.quality_figures import (
    Figures,
    Group,
    Said,
    Scale,
    Trait,
    coefficients_of,
    figures_of,
    groups_of,
    middle_grades,
    ratings_of,
)

CONFIDENCE: Final = 0.95
_PROMPT: Final = "comparison__dialogue__prompt"
_COLUMNS: Final = (
    "comparison_id",
    "annotator_id",
    "choice",
    "grade",
    "safety",
    "focus",
    f"{_PROMPT}__category",
    f"{_PROMPT}__risk",
    "comparison__language",
)


@dataclass(frozen=True, slots=True)
class ScaleFigures:
    """All coefficients of one scale, with the ratings that they are made of."""

    scale: Scale
    read: Read
    coefficients: list[Coefficient]


@dataclass(frozen=True, slots=True)
class Agreement:
    """`words` are those that pairs of the batch have, by trait; `groups` only traits of which there is a choice."""

    figures: Figures
    scales: list[ScaleFigures]
    groups: dict[Trait, list[Group]]
    beside: Ints
    couples: Couples
    words: Mapping[Trait, Sequence[str]]


def counted(batch: Batch) -> JudgmentQuerySet:
    """What people's agreement and conduct are read off: annotators' judgments that count, of pairs that were neither
    withdrawn nor attention checks."""
    rows = Judgment.objects.counting().filter(comparison__batch=batch)
    return rows.exclude(comparison__state=ComparisonState.WITHDRAWN)


def said_in(batch: Batch) -> Said:
    """Every counted judgment of a batch."""
    rows: Any = counted(batch).order_by("comparison_id", "annotator_id").values_list(*_COLUMNS)
    columns = list(zip(*rows, strict=True)) or [()] * len(_COLUMNS)
    pair, person, choice, grade, safety, focus, topic, risk, language = columns
    traits: dict[Trait, Ints] = {}
    words: dict[Trait, Sequence[str]] = {}
    for trait, column, known in (
        (Trait.FOCUS, focus, Focus),
        (Trait.RISK, risk, RiskCategory),
        (Trait.TOPIC, topic, sorted({word for word in topic if word})),
        (Trait.LANGUAGE, language, sorted({word for word in language if word})),
    ):
        words[trait] = [str(word) for word in known]
        traits[trait] = _codes(column, words[trait])
    blank = Said(
        pair=np.array(pair, dtype=np.intp),
        person=np.array(person, dtype=np.intp),
        choice=_codes(choice, [str(word) for word in Choice]),
        rank=_codes(grade, [str(word) for word in Grade]),
        label=_codes(safety, [str(word) for word in SafetyLabel]),
        traits=traits,
        words=words,
    )
    traits[Trait.GRADE] = np.repeat(middle_grades(blank.starts, blank.sizes, blank.rank), blank.sizes)
    words[Trait.GRADE] = [str(word) for word in Grade]
    return blank


def agreement_of(said: Said, wanted: Mapping[Trait, str]) -> Agreement:
    """What a page shows of the judgments of a batch, or of those with the wanted traits."""
    chosen = said.only(wanted)
    groups = {trait: groups_of(chosen, trait) for trait in Trait if trait not in wanted}
    return Agreement(
        figures=figures_of(chosen),
        scales=scales_of(chosen),
        groups={trait: found for trait, found in groups.items() if len(found) > 1},
        beside=grades_beside(chosen),
        couples=couples_of(chosen),
        words={trait: _used(said, trait) for trait in Trait},
    )


def scales_of(said: Said) -> list[ScaleFigures]:
    """Of each scale that somebody used; the choice always."""
    found = []
    for scale in Scale:
        ratings = ratings_of(said, scale)
        if ratings.items or scale is Scale.CHOICE:
            found.append(ScaleFigures(scale, Read(ratings), coefficients_of(ratings, scale)))
    return found


def people_in(batch: Batch) -> dict[int, User]:
    """Whoever judged in it, by key."""
    return {user.pk: user for user in User.objects.filter(pk__in=counted(batch).values("annotator"))}


def batch_of_interest(name: str) -> Batch | None:
    """The batch of that name; without a name the open one, else the newest with judgments to look at."""
    if name:
        return Batch.objects.filter(name=name).first()
    rows = Batch.objects.exclude(state=BatchState.PLANNED)
    return rows.filter(state=BatchState.OPEN).order_by("number").first() or rows.order_by("-number").first()


def _used(said: Said, trait: Trait) -> list[str]:
    codes = set(np.unique(said.traits[trait]).tolist())
    return [word for code, word in enumerate(said.words[trait]) if code in codes]


def _codes(column: Iterable[str], words: Sequence[str]) -> Ints:
    place = {word: code for code, word in enumerate(words)}
    return np.fromiter((place.get(word, -1) for word in column), dtype=np.intp)
