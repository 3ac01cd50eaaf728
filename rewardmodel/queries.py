"""Questions about what reward models say of pairs: which are to be scored, and where people say the opposite.

Who judged stays out of what is shown. A pair goes against a model where most of its annotators chose the response
that the model of the pair's focus likes less. A week's scores are read along the index score_surest_first, the one
that the model is surest of first; they are never counted.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from heapq import merge
from itertools import islice
from typing import Final

from django.db.models import (
    Case,
    Exists,
    F,
    IntegerField,
    Max,
    OuterRef,
    Prefetch,
    QuerySet,
    Subquery,
    Sum,
    When,
)

from annotation.core.aggregate import Outcome, majority
from annotation.core.grades import Choice, Focus
from annotation.core.states import ComparisonState
from annotation.models import Batch, Comparison, Judgment, Review, User
from annotation.votes import vote_of
from rewardmodel.models import (
    PairScore,
    Promotion,
    ResidentScorer,
    RewardModelVersion,
    RewardModelVersionQuerySet,
)

PAGE: Final = 50
SMALLEST: Final = 64  # pairs of the first piece of the queue that is looked at
LARGEST: Final = 1024


def pairs_to_score(batch: int, focuses: Iterable[Focus]) -> QuerySet[Comparison]:
    """Pairs of a batch that reward models of these focuses are asked about, in the order in which they came. One model
    alone is asked about the pairs of its focus; two are asked about all, since each may go against the other."""
    asked = list(focuses)
    rows = Comparison.objects.ordinary().filter(batch=batch).exclude(state=ComparisonState.WITHDRAWN)
    return (rows.filter(focus=asked[0]) if len(asked) == 1 else rows).order_by("pk")


def scored_batches() -> list[Batch]:
    """The newest first."""
    scores = PairScore.objects.filter(batch=OuterRef("pk"))
    return list(Batch.objects.filter(Exists(scores)).order_by("-number"))


def scoring_models(batch: Batch) -> list[RewardModelVersion]:
    """Those that scored pairs of a batch, current ones first, then the newest; they know whether they are `current`."""
    scores = PairScore.objects.filter(batch=batch, version=OuterRef("pk"))
    return list(RewardModelVersion.objects.filter(Exists(scores)).current_first())


def version_named(name: str) -> RewardModelVersion | None:
    return RewardModelVersion.objects.filter(name=name).first()


def with_scorers(versions: RewardModelVersionQuerySet) -> RewardModelVersionQuerySet:
    """Versions that know as `resident` whether a process that lives holds them."""
    return versions.annotate(resident=Exists(ResidentScorer.objects.alive().filter(version=OuterRef("pk"))))


def as_shown(versions: RewardModelVersionQuerySet) -> RewardModelVersionQuerySet:
    """Versions with all that the API shows: the snapshot, whether they are `resident` and `current`, and the promotions
    that made them so, the newest first."""
    rows = Promotion.objects.select_related("version", "previous", "by").order_by("-number")
    rows = rows.defer("evidence")
    shown = with_scorers(versions).with_current().select_related("snapshot")
    return shown.prefetch_related(Prefetch("promotions", queryset=rows))


def shown_version(pk: int) -> RewardModelVersion:
    return as_shown(RewardModelVersion.objects.all()).get(pk=pk)


def scorers_of(version: RewardModelVersion) -> list[ResidentScorer]:
    """Those that live, the one that was heard of last first."""
    return list(ResidentScorer.objects.alive().filter(version=version).order_by("-seen_at", "pk"))


@dataclass(frozen=True, slots=True)
class Against:
    """A pair on which people and a reward model go against each other."""

    score: PairScore
    people: Outcome

    @property
    def agreeing(self) -> int:
        """How many of the pair's annotators made the choice of the majority."""
        return round(self.people.weight * self.people.judgments)

    @property
    def probability(self) -> float:
        """Of the people's choice, by the model."""
        odds = math.exp(-self.score.apart)
        return odds / (1 + odds)


def against_people(
    reviewer: User,
    *,
    batch: Batch,
    models: Sequence[RewardModelVersion],
    below: float,
    people: int = 1,
    after: int | None = None,
    limit: int = PAGE,
) -> list[Against]:
    """Pairs that wait for this reviewer, whose majority of at least `people` judgments is less probable than `below`
    by one of `models`; the least probable first. Pairs that they judged themselves are others' to decide.

    `after` is the primary key of the score to go on from. A model costs three queries, and three more for each 128,
    256, … 1,024 pairs before the last one found that are decided on or have too few judgments. The database looks at
    all pairs that the model is surer of than of the last one found.
    """
    start = PairScore.objects.filter(pk=after, batch=batch).first() if after else None
    walks = [_walk(reviewer, _surest(batch, model, below, start), people) for model in models]
    found = list(islice(merge(*walks, key=_order), limit))
    rows = PairScore.objects.select_related("version", "comparison__batch", "comparison__dialogue__prompt")
    whole = rows.defer("comparison__dialogue__messages").in_bulk([one.score.pk for one in found])
    return [Against(whole[one.score.pk], one.people) for one in found]


def first_of_each_focus(models: Iterable[RewardModelVersion]) -> list[RewardModelVersion]:
    """Of models in the order of `scoring_models`: the current one where it is among them, else the newest."""
    first: dict[str, RewardModelVersion] = {}
    for model in models:
        first.setdefault(model.focus, model)
    return list(first.values())


def _order(one: Against) -> tuple[float, int]:
    return (-one.score.apart, one.score.pk)


def _surest(
    batch: Batch, model: RewardModelVersion, below: float, start: PairScore | None
) -> QuerySet[PairScore]:
    """One range of the index, p = 1 / (1 + exp(apart)) of the response that the model likes less, and of it what most
    annotators chose otherwise."""
    rows = PairScore.objects.filter(batch=batch, version=model, apart__gt=math.log(1 / below - 1))
    rows = rows.filter(comparison__focus=model.focus).exclude(comparison__state=ComparisonState.WITHDRAWN)
    # A scalar subquery is looked up for one row after the other, and the first page ends the walk.
    rows = rows.alias(against=(F("reward_a") - F("reward_b")) * _lean()).filter(against__lt=0)
    return _behind(rows, start).order_by("-apart", "pk")


def _lean() -> Subquery:
    """By how many more annotators chose A than B; below 0: B."""
    votes = Judgment.objects.effective().of_annotators().filter(comparison=OuterRef("comparison"))
    signs = Case(When(choice=Choice.A, then=1), default=-1, output_field=IntegerField())
    return Subquery(votes.order_by().values("comparison").annotate(lean=Sum(signs)).values("lean"))


def _behind(rows: QuerySet[PairScore], start: PairScore | None) -> QuerySet[PairScore]:
    if start is None:
        return rows
    return rows.filter(apart__lte=start.apart).exclude(apart=start.apart, pk__lte=start.pk)


def _walk(reviewer: User, rows: QuerySet[PairScore], people: int) -> Iterator[Against]:
    """Pieces of the queue, larger and larger, and what of each waits for this person."""
    start: PairScore | None = None
    size = SMALLEST
    while piece := list(_behind(rows, start)[:size]):
        yield from _waiting(reviewer, piece, people)
        if len(piece) < size:
            return
        start, size = piece[-1], min(2 * size, LARGEST)


def _waiting(reviewer: User, piece: Sequence[PairScore], people: int) -> Iterator[Against]:
    keys = [score.comparison_id for score in piece]
    decided = Review.objects.filter(comparison__in=keys).order_by().values("comparison")
    decided_at = dict(decided.annotate(last=Max("created_at")).values_list("comparison", "last"))
    said: dict[int, list[Judgment]] = {pk: [] for pk in keys}
    for row in Judgment.objects.filter(comparison__in=keys).order_by("pk").defer("comment"):
        said[row.comparison_id].append(row)
    for score in piece:
        rows = said[score.comparison_id]
        outcome = _majority(rows)
        if outcome is None or outcome.judgments < people:
            continue
        if _waits(rows, decided_at.get(score.comparison_id), reviewer):
            yield Against(score, outcome)


def _majority(said: Sequence[Judgment]) -> Outcome | None:
    counting = [row for row in said if row.current and not row.retracted and not _is_review(row)]
    return majority([vote_of(row) for row in counting])


def _is_review(row: Judgment) -> bool:
    return row.source == Judgment.Source.REVIEW


def _waits(said: Sequence[Judgment], decided_at: datetime | None, reviewer: User) -> bool:
    """Nobody has decided on it since its newest judgment, and this person may."""
    if any(row.annotator_id == reviewer.pk and not _is_review(row) for row in said):
        return False
    # A decision that was taken back is news too.
    news = (row.created_at for row in said if row.retracted or not _is_review(row))
    return decided_at is None or any(at > decided_at for at in news)
