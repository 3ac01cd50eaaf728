"""Questions about attention checks: what one expects, how people did on it, what may become one.

Knows rows. Must not know how a check is drawn (services.allocation) or what follows from a mark (services.checks).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from django.db.models import Count, Exists, F, OuterRef, Prefetch, Q, QuerySet

from annotation.core.aggregate import Vote
from annotation.core.attention import GoldAnswer, unanimous
from annotation.core.grades import Choice, Grade, SafetyLabel
from annotation.core.states import BatchState, ComparisonState
from annotation.models import Batch, Comparison, Gold, GoldMark, Judgment
from annotation.overview import with_judgment_counts
from annotation.votes import vote_of

FEWEST_PEOPLE: Final = 3  # who agree, before their label is one to hold others against
FEWEST_CAREFUL: Final = 4  # answers of careful people, before a check can be called into question
_CLOSE: Final = (Grade.SLIGHTLY_BETTER, Grade.NEGLIGIBLY_BETTER)


def answer_of(gold: Gold) -> GoldAnswer:
    """What is right for a check."""
    return GoldAnswer(
        choice=Choice(gold.choice),
        grade=Grade(gold.grade) if gold.grade else None,
        safety=SafetyLabel(gold.safety) if gold.safety else None,
        tolerance=gold.tolerance,
    )


def feedback_on(judgment: Judgment) -> dict[str, Any] | None:
    """What its annotator is told after their first answer to a check, by the sides of their screen; None for an
    ordinary pair, and where the week tells nothing."""
    comparison = judgment.comparison
    if comparison.gold_id is None or not comparison.batch.gold_feedback:
        return None
    mark = GoldMark.objects.filter(judgment=judgment).select_related("gold").first()
    if mark is None:
        return None
    expected = {
        "side": "left" if mark.gold.choice == judgment.left else "right",
        "grade": mark.gold.grade or None,
        "safety": mark.gold.safety or None,
    }
    return {
        "right": mark.right,
        "off": mark.detail["off"],
        "expected": expected,
        "reason": mark.gold.reason,
    }


def with_shares(rows: QuerySet[Gold]) -> QuerySet[Gold]:
    """Adds `answered_n` and `right_n`, and `careful_n` and `careful_right_n` of people whom checks give no cause to
    doubt."""
    careful = Q(marks__annotator__warned_at=None, marks__annotator__paused_at=None)
    right = Q(marks__right=True)
    return rows.annotate(
        answered_n=Count("marks"),
        right_n=Count("marks", filter=right),
        careful_n=Count("marks", filter=careful),
        careful_right_n=Count("marks", filter=careful & right),
    )


def is_doubtful(*, careful: int, right: int) -> bool:
    """Whether most careful people miss a check: then it is the check that is wrong, or too close to be one."""
    return careful >= FEWEST_CAREFUL and 2 * right < careful


def doubtful(rows: QuerySet[Any]) -> QuerySet[Any]:
    """Of `with_shares`, those for which `is_doubtful` holds."""
    return rows.filter(careful_n__gte=FEWEST_CAREFUL, careful_n__gt=2 * F("careful_right_n"))


@dataclass(frozen=True, slots=True)
class Candidate:
    """A pair that `people` judged alike, and the label that they warrant."""

    comparison: Comparison
    vote: Vote
    people: int


def candidates(batch: Batch, limit: int) -> list[Candidate]:
    """The first pairs of a batch that could become checks, in the order in which they came."""
    return list(islice(_candidates(batch), limit))


def _candidates(batch: Batch) -> Iterator[Candidate]:
    said = Judgment.objects.effective().of_annotators()
    ordinary: QuerySet[Any] = with_judgment_counts(batch.comparisons.ordinary())
    rows = (
        ordinary.filter(dispute=0, promoted_to=None, judgments_n__gte=FEWEST_PEOPLE)
        .exclude(state=ComparisonState.WITHDRAWN)
        .exclude(Exists(said.filter(comparison=OuterRef("pk"), grade__in=_CLOSE)))
        .select_related("dialogue__prompt")
        .prefetch_related(Prefetch("judgments", said.order_by("pk"), to_attr="said"))
        .order_by("pk")
    )
    for comparison in rows.iterator(chunk_size=200):
        votes = [vote_of(row) for row in comparison.said]
        if (vote := unanimous(votes, fewest=FEWEST_PEOPLE)) is not None:
            yield Candidate(comparison, vote, len(votes))


def votes_on(comparison: Comparison) -> list[Vote]:
    """What annotators say of a pair, without who says it."""
    return [vote_of(row) for row in comparison.judgments.effective().of_annotators().order_by("pk")]


def adjudicated_vote(comparison: Comparison) -> Vote | None:
    """The label that a reviewer set."""
    row = comparison.judgments.effective().filter(source=Judgment.Source.REVIEW).first()
    return vote_of(row) if row is not None else None


def promising_batches() -> list[Batch]:
    """Weeks that may hold candidates, the newest first."""
    return list(Batch.objects.exclude(state=BatchState.PLANNED).order_by("-number"))


def pair_with(pk: int) -> Comparison | None:
    """A pair with its texts."""
    rows = Comparison.objects.select_related("batch", "dialogue__prompt", "response_a", "response_b")
    return rows.filter(pk=pk).first()
