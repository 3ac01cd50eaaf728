"""Questions that cross models. Views, admin and services ask here and touch no manager themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby

from django.db.models import Count, Exists, Max, OuterRef, Prefetch, Q, QuerySet
from django.utils import timezone

from annotation.core.grades import Focus
from annotation.core.states import BatchState, ComparisonState
from annotation.models import (
    Batch,
    Comparison,
    Guideline,
    GuidelineReading,
    GuidelineReport,
    Judgment,
    Lease,
    Pass,
    User,
)


def judged_comparisons(batches: Sequence[Batch]) -> QuerySet[Comparison]:
    """Comparisons that at least one judgment counts for, in key order; `judgments` holds those alone."""
    counted = Prefetch("judgments", queryset=Judgment.objects.effective().order_by("uid"))
    judged = Judgment.objects.effective().filter(comparison__batch__in=batches).values("comparison")
    return (
        Comparison.objects.filter(pk__in=judged)
        .exclude(state=ComparisonState.WITHDRAWN)
        .select_related("batch", "dialogue__prompt", "response_a", "response_b")
        .prefetch_related(counted)
        .order_by("key")
    )


def open_batch() -> Batch | None:
    """The week that annotators work on now: the oldest open one."""
    return Batch.objects.filter(state=BatchState.OPEN).order_by("number").first()


def guidelines_in_force() -> list[Guideline]:
    """The newest version for each focus that has one."""
    newest = (
        Guideline.objects.values("focus").annotate(version=Max("version")).values_list("focus", "version")
    )
    wanted = Q(pk__in=[])
    for focus, version in newest:
        wanted |= Q(focus=focus, version=version)
    return list(Guideline.objects.filter(wanted).order_by("focus"))


def guideline_story() -> list[list[Guideline]]:
    """For each focus that has any its versions, the newest first."""
    rows = Guideline.objects.order_by("focus", "-version")
    return [list(versions) for _, versions in groupby(rows, key=lambda row: row.focus)]


def guideline_ids() -> dict[str, int]:
    """The primary key of the version in force, by focus. Versions only grow, and so do keys."""
    newest = Guideline.objects.order_by().values("focus").annotate(newest=Max("pk"))
    return dict(newest.values_list("focus", "newest"))


def guideline_in_force(focus: str) -> Guideline | None:
    return Guideline.objects.filter(focus=focus).order_by("-version").first()


def guideline_with(pk: int) -> Guideline | None:
    return Guideline.objects.filter(pk=pk).first()


def last_read(annotator: User, focus: str) -> Guideline | None:
    """The newest version for a focus that this person has confirmed to have read."""
    read = Guideline.objects.filter(readings__annotator=annotator, focus=focus)
    return read.order_by("-version").first()


def last_readings(annotator: User) -> dict[str, int]:
    """The primary key of the newest confirmed version, by focus."""
    read = GuidelineReading.objects.filter(annotator=annotator).order_by().values("guideline__focus")
    return dict(read.annotate(newest=Max("guideline")).values_list("guideline__focus", "newest"))


@dataclass(frozen=True, slots=True)
class BatchProgress:
    comparisons: int
    complete: int
    judgments: int


def batch_progress(batch: Batch) -> BatchProgress:
    rows = batch.comparisons.exclude(state=ComparisonState.WITHDRAWN).aggregate(
        comparisons=Count("pk"), complete=Count("pk", filter=Q(state=ComparisonState.COMPLETE))
    )
    judgments = Judgment.objects.effective().filter(comparison__batch=batch).count()
    return BatchProgress(rows["comparisons"], rows["complete"], judgments)


@dataclass(frozen=True, slots=True)
class AnnotatorDay:
    """`waiting` counts by focus what this person may be given; `safety_waiting` what they would be given too if
    they agreed to see safety pairs."""

    today: int
    batch: int
    waiting: dict[str, int]
    safety_waiting: int = 0


def annotator_day(annotator: User, batch: Batch | None) -> AnnotatorDay:
    """How many judgments of this person count today and in the batch, and what is left for them by focus."""
    mine = Judgment.objects.effective().filter(annotator=annotator)
    midnight = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
    today = mine.filter(created_at__gte=midnight, created_at__lt=midnight + timedelta(days=1)).count()
    if batch is None:
        return AnnotatorDay(today, 0, {})
    # EXISTS for each waiting pair: excluding by a list of the person's judgments took 40 times as long.
    own = {"comparison": OuterRef("pk"), "annotator": annotator}
    left = (
        Comparison.objects.waiting()
        .filter(batch=batch)
        .exclude(Exists(Judgment.objects.effective().filter(**own)))
        .exclude(Exists(Pass.objects.standing().filter(**own)))
        .with_free_slot(timezone.now(), overlap=batch.overlap, beside=annotator.pk)
        .order_by()
        .values_list("focus")
        .annotate(n=Count("pk"))
    )
    waiting = {str(focus): 0 for focus in Focus} | dict(left)
    refused = {focus: waiting.pop(focus) for focus in Focus if focus not in annotator.focuses}
    return AnnotatorDay(
        today, mine.filter(comparison__batch=batch).count(), waiting, refused.get(Focus.SAFETY, 0)
    )


@dataclass(frozen=True, slots=True)
class ToReview:
    flags: int
    reports: int

    @property
    def any(self) -> bool:
        return bool(self.flags or self.reports)


def to_review() -> ToReview:
    """What waits for a reviewer."""
    reports = GuidelineReport.objects.filter(handled_at=None)
    return ToReview(Pass.objects.waiting().count(), reports.count())


def batch_named(name: str) -> Batch | None:
    return Batch.objects.filter(name=name).first()


def batch_seed(comparison_key: str) -> int | None:
    """The seed that orders a comparison's sides; None: there is no such comparison."""
    return Comparison.objects.filter(key=comparison_key).values_list("batch__seed", flat=True).first()


def lease_expiries(annotator: User, comparisons: Sequence[Comparison]) -> dict[int, datetime]:
    """When this person's hold on each comparison ends, by primary key."""
    held = Lease.objects.filter(annotator=annotator, comparison__in=comparisons)
    return dict(held.values_list("comparison_id", "expires_at"))


def last_sealed_batch() -> Batch | None:
    return Batch.objects.filter(state=BatchState.SEALED).order_by("-number").first()
