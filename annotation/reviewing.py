"""Questions about review: which pairs wait for a reviewer, what was said of one, what came back to an annotator.

Who said what stays out of what a reviewer is shown. A pair waits while its annotators differ and nobody has decided
since its newest judgment. The index comparison_disputes holds the pairs that differ, the widest first; the queue is
walked along it, past what is decided, and never counted.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from heapq import merge
from itertools import islice
from typing import Any, Final, cast

from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce

from annotation.core.grades import Focus
from annotation.core.states import BatchState, ComparisonState
from annotation.models import Batch, Comparison, Decision, Judgment, Review, User

PAGE: Final = 50
COUNTED: Final = 100  # who has more before them does not need the number
NEVER: Final = datetime(1970, 1, 1, tzinfo=UTC)
STAGES: Final = (ComparisonState.COMPLETE, ComparisonState.OPEN)  # where all judgments are in, first
_CURSOR: Final = re.compile(r"([01])\.([0-9]{1,5})\.([0-9]{1,18})")


Rows = QuerySet[Comparison]


class Kind(StrEnum):
    """In what people differ: the column of a judgment."""

    CHOICE = "choice"
    LABEL = "safety"  # which responses are safe


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which pairs of the queue to look at; empty: all."""

    focus: str = ""
    batch: int | None = None
    kind: Kind | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the queue a pair stands."""

    stage: int
    dispute: int
    pk: int

    @classmethod
    def of(cls, pair: Comparison) -> Place:
        return cls(int(pair.state != ComparisonState.COMPLETE), pair.dispute, pair.pk)

    @classmethod
    def read(cls, cursor: str) -> Place | None:
        """What `cursor` wrote; anything else begins at the front."""
        match = _CURSOR.fullmatch(cursor)
        return cls(int(match[1]), int(match[2]), int(match[3])) if match else None

    @property
    def cursor(self) -> str:
        return f"{self.stage}.{self.dispute}.{self.pk}"


@dataclass(frozen=True, slots=True)
class Dispute:
    """A pair that waits, and what each of its annotators chose."""

    pair: Comparison
    choices: tuple[str, ...]


def disputes(
    reviewer: User, wanted: Wanted, *, after: Place | None = None, limit: int = PAGE
) -> list[Dispute]:
    """Pairs of the open weeks that wait for this reviewer: where all judgments are in first, the widest difference
    first. Pairs that they judged themselves are others' to decide."""
    return _with_choices(_walk(reviewer, wanted, after, limit))


def dispute_before(reviewer: User, wanted: Wanted, place: Place) -> Comparison | None:
    return next(iter(_walk(reviewer, wanted, place, 1, back=True)), None)


def count_disputes(reviewer: User) -> int:
    """How many wait, up to COUNTED."""
    return len(_walk(reviewer, Wanted(), None, COUNTED))


def _with_choices(pairs: Sequence[Comparison]) -> list[Dispute]:
    said: dict[int, list[str]] = {pair.pk: [] for pair in pairs}
    votes = Judgment.objects.effective().of_annotators().filter(comparison__in=list(said)).order_by("pk")
    for pk, choice in votes.values_list("comparison", "choice"):
        said[pk].append(choice)
    return [Dispute(pair, tuple(said[pair.pk])) for pair in pairs]


def _walk(
    reviewer: User, wanted: Wanted, start: Place | None, limit: int, *, back: bool = False
) -> list[Comparison]:
    weeks = Batch.objects.filter(state=BatchState.OPEN).order_by("number").values_list("pk", flat=True)
    batches = [pk for pk in weeks if wanted.batch in (None, pk)]
    step = -1 if back else 1
    found: list[Comparison] = []
    for stage in range(len(STAGES))[::step]:
        if start is not None and step * (stage - start.stage) < 0:
            continue
        at = start if start is not None and start.stage == stage else None
        rows = _waiting(reviewer, wanted).filter(state=STAGES[stage])
        # Week by week, since one week is one range of the index.
        parts = [_along(rows.filter(batch=batch), at, limit, back) for batch in batches]
        merged = merge(*parts, key=lambda pair: (-step * pair.dispute, step * pair.pk))
        found += islice(merged, limit - len(found))
        if len(found) == limit:
            break
    return found


def _along(rows: Rows, at: Place | None, limit: int, back: bool) -> Iterator[Comparison]:
    """From a place on. Two questions, because "as wide and later, or less wide" in one is no range of the index."""
    order = ("dispute", "-pk") if back else ("-dispute", "pk")
    if at is not None:
        later = Q(pk__lt=at.pk) if back else Q(pk__gt=at.pk)
        yield from rows.filter(later, dispute=at.dispute).order_by(order[1])[:limit]
        rows = rows.filter(Q(dispute__gt=at.dispute) if back else Q(dispute__lt=at.dispute))
    yield from rows.order_by(*order)[:limit]


def _waiting(reviewer: User, wanted: Wanted) -> Rows:
    """Asked of each pair by itself: joined, the answer would be sought among all reviews and judgments there are."""
    said = Judgment.objects.filter(comparison=OuterRef("pk"))
    # A decision that was taken back is news too.
    news = said.filter(~Q(source=Judgment.Source.REVIEW) | Q(retracted=True)).order_by("-created_at")
    decisions = Review.objects.filter(comparison=OuterRef("pk")).order_by("-created_at")
    rows: Any = Comparison.objects.filter(dispute__gt=0).alias(
        own=Subquery(said.of_annotators().filter(annotator=reviewer).values("pk")[:1]),
        news_at=Subquery(news.values("created_at")[:1]),
        decided_at=Coalesce(Subquery(decisions.values("created_at")[:1]), Value(NEVER)),
    )
    rows = rows.filter(decided_at__lt=F("news_at"), own=None)
    if wanted.focus:
        rows = rows.filter(focus=wanted.focus)
    if wanted.kind is Kind.LABEL:
        rows = rows.filter(focus=Focus.SAFETY)
    if wanted.kind is not None:
        rows = rows.alias(kinds=_kinds(said.effective().of_annotators(), str(wanted.kind))).filter(
            kinds__gt=1
        )
    return cast("Rows", rows.select_related("batch", "dialogue__prompt").defer("dialogue__messages"))


def _kinds(votes: QuerySet[Judgment], column: str) -> Subquery:
    """How many different things people said."""
    counted = votes.exclude(**{column: ""}).order_by().values("comparison")
    return Subquery(counted.annotate(n=Count(column, distinct=True)).values("n"))


def open_weeks() -> list[Batch]:
    return list(Batch.objects.filter(state=BatchState.OPEN).order_by("number"))


def pair_for(pk: int) -> Comparison | None:
    """A pair with all that a reviewer reads of it."""
    rows = Comparison.objects.select_related("batch", "dialogue__prompt", "response_a", "response_b")
    return rows.filter(pk=pk).first()


@dataclass(frozen=True, slots=True)
class Opinion:
    """A judgment that counts, and the number under which its annotator goes on this pair."""

    number: int
    judgment: Judgment


def opinions_on(pair: Comparison) -> list[Opinion]:
    """What annotators say of a pair, in an order that says nothing of who or when, and is the same each time."""
    rows = pair.judgments.effective().of_annotators().select_related("annotator")
    ordered = sorted(
        rows, key=lambda row: hashlib.sha256(f"{pair.key}:{row.annotator.pseudonym}".encode()).digest()
    )
    return [Opinion(number, row) for number, row in enumerate(ordered, start=1)]


def adjudication_of(pair: Comparison) -> Judgment | None:
    """The label that a reviewer set and that stands."""
    return (
        pair.judgments.effective().filter(source=Judgment.Source.REVIEW).select_related("annotator").first()
    )


def decisions_on(pair: Comparison) -> list[Review]:
    """The newest first."""
    return list(pair.reviews.select_related("by", "judgment"))


def state_of(pair: Comparison) -> str:
    """Names what was decided and said of a pair so far: a reviewer decides on what they saw, or not at all."""
    review = pair.reviews.order_by("-pk").values_list("pk", flat=True).first() or 0
    judgment = pair.judgments.order_by("-pk").values_list("pk", flat=True).first() or 0
    return f"{review}.{judgment}"


def has_judged(person: User, pair: Comparison) -> bool:
    """Also where they took it back: they know the pair as an annotator."""
    return pair.judgments.of_annotators().filter(annotator=person).exists()


def review_with(pk: int) -> Review | None:
    return Review.objects.filter(pk=pk).select_related("comparison", "by").first()


def judgment_on(pair: Comparison, pk: int) -> Judgment | None:
    return pair.judgments.of_annotators().filter(pk=pk).select_related("annotator", "comparison").first()


# The annotator's side


def returned_to(annotator: User) -> list[Review]:
    """What came back to somebody and waits for them, the newest first: neither answered nor put away."""
    rows = _standing_returns().filter(
        judgment__annotator=annotator, seen_at=None, comparison__batch__state=BatchState.OPEN
    )
    return list(
        rows.filter(judgment__current=True, judgment__retracted=False).select_related(
            "judgment", "comparison__batch", "comparison__dialogue__prompt"
        )
    )


def why_returned(annotator: User, uid: str) -> str:
    """What a reviewer wrote about the judgment that is opened again; empty where it did not come back."""
    rows = ((review.judgment, review.feedback) for review in returned_to(annotator))
    return next((words for row, words in rows if row is not None and str(row.uid) == uid), "")


def feedback_for(judgments: Sequence[int]) -> dict[int, str]:
    """What reviewers wrote to annotators, by the primary key of the judgment that it is about."""
    rows = _standing_returns().filter(judgment__in=judgments)
    return dict(rows.order_by("pk").values_list("judgment_id", "feedback"))


def _standing_returns() -> QuerySet[Review]:
    """Returns after which no reviewer decided otherwise."""
    same = {"comparison": OuterRef("comparison")}
    later = Review.objects.filter(**same, pk__gt=OuterRef("pk"))
    rows = Judgment.objects.filter(
        **same, source=Judgment.Source.REVIEW, created_at__gt=OuterRef("created_at")
    )
    returned = Review.objects.filter(decision=Decision.RETURNED)
    return returned.exclude(Exists(later)).exclude(Exists(rows))
