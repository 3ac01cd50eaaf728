"""Questions that cross models. Views, admin and services ask here and touch no manager themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby

from django.db.models import Count, Exists, Max, OuterRef, Q
from django.utils import timezone

from annotation.core.allocation import Nothing, Person, Terms, Week, terms_for
from annotation.core.grades import Focus
from annotation.core.states import BatchState, ComparisonState
from annotation.models import (
    Batch,
    Certificate,
    Comparison,
    Guideline,
    GuidelineReading,
    GuidelineReport,
    Judgment,
    Lease,
    Pass,
    User,
)


def open_batch() -> Batch | None:
    """The week that annotators work on now: the oldest open one."""
    return Batch.objects.filter(state=BatchState.OPEN).order_by("number").first()


def planned_after(batch: Batch) -> Batch | None:
    """The next week that is planned and not open yet."""
    later = Batch.objects.filter(state=BatchState.PLANNED, number__gt=batch.number)
    return later.order_by("number").first()


def guidelines_in_force() -> list[Guideline]:
    """The version in force for each focus that has one."""
    return list(Guideline.objects.filter(pk__in=guideline_ids().values()).order_by("focus"))


def guideline_story() -> list[list[Guideline]]:
    """For each focus that has any its versions, the newest first."""
    rows = Guideline.objects.order_by("focus", "-version")
    return [list(versions) for _, versions in groupby(rows, key=lambda row: row.focus)]


def guideline_ids() -> dict[str, int]:
    """The primary key of the version in force, by focus: what the open week names, else the newest. Versions only
    grow, and so do keys."""
    rows = Guideline.objects.order_by().values("focus")
    rows = rows.annotate(newest=Max("pk"), named=Max("pk", filter=Q(batches__state=BatchState.OPEN)))
    return {focus: named or newest for focus, newest, named in rows.values_list("focus", "newest", "named")}


def guideline_in_force(focus: str) -> Guideline | None:
    named = Exists(Batch.objects.filter(guidelines=OuterRef("pk"), state=BatchState.OPEN))
    rows = Guideline.objects.filter(focus=focus).alias(named=named)
    return rows.order_by("-named", "-version").first()


def guidelines_used(batch: Batch) -> list[str]:
    """Names of the versions that the judgments of a batch were made under."""
    used = (
        Judgment.objects.counting().filter(comparison__batch=batch).order_by().values("guideline").distinct()
    )
    return [str(guideline) for guideline in Guideline.objects.filter(pk__in=used)]


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
    rows = (
        batch.comparisons.ordinary()
        .exclude(state=ComparisonState.WITHDRAWN)
        .aggregate(comparisons=Count("pk"), complete=Count("pk", filter=Q(state=ComparisonState.COMPLETE)))
    )
    judgments = Judgment.objects.counting().filter(comparison__batch=batch).count()
    return BatchProgress(rows["comparisons"], rows["complete"], judgments)


COUNTED = 5000  # waiting pairs of a focus; who has more before them does not need the number


@dataclass(frozen=True, slots=True)
class AnnotatorDay:
    """`waiting` counts by focus what this person may be given, up to COUNTED; `safety_waiting` what they would be
    given too if they agreed to see safety pairs. `why` says why they are given nothing, whatever waits."""

    today: int
    batch: int
    waiting: dict[str, int]
    safety_waiting: int = 0
    why: Nothing | None = None


def annotator_day(annotator: User, batch: Batch | None) -> AnnotatorDay:
    """How many judgments of this person count today and in the batch, and what is left for them by focus."""
    mine = Judgment.objects.effective().of_annotators().filter(annotator=annotator)
    midnight = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
    today = mine.filter(created_at__gte=midnight, created_at__lt=midnight + timedelta(days=1)).count()
    if batch is None:
        return AnnotatorDay(today, 0, {})
    done = mine.filter(comparison__batch=batch).count()
    terms = standing_terms(annotator, batch)
    in_hand = _in_hand(annotator, batch)
    waiting = {
        str(focus): min(COUNTED, _free(annotator, batch, focus) + in_hand.get(focus, 0))
        for focus in terms.focuses
    }
    refused = terms.why is None and Focus.SAFETY not in annotator.focuses
    safety = _free(annotator, batch, Focus.SAFETY) if refused else 0
    return AnnotatorDay(today, done, waiting, safety, terms.why)


def _free(annotator: User, batch: Batch, focus: Focus) -> int:
    """Pairs with a free slot that they never held. The count stops at COUNTED."""
    rows = Comparison.objects.filter(batch=batch, state=ComparisonState.OPEN, free__gt=0, focus=focus)
    if annotator.languages:
        rows = rows.filter(language__in=["", *annotator.languages])
    return rows.never_held_by(annotator.pk)[:COUNTED].count()


def _in_hand(annotator: User, batch: Batch) -> dict[str, int]:
    """Ordinary pairs: a check that raised the number would give itself away."""
    held = Lease.objects.filter(annotator=annotator, judged=False, comparison__batch=batch)
    held = held.filter(comparison__state=ComparisonState.OPEN, comparison__gold=None).order_by()
    return dict(held.values_list("comparison__focus").annotate(n=Count("pk")))


def standing_terms(annotator: User, batch: Batch) -> Terms:
    """What somebody may be given of a batch now. Certificates and the quota cost a query each, and only where the
    week asks for them."""
    certified: frozenset[Focus] = frozenset()
    if batch.needs_certificate:
        valid = Certificate.objects.valid().filter(annotator=annotator)
        certified = frozenset(Focus(focus) for focus in valid.values_list("focus", flat=True))
    person = Person(
        agreed=annotator.focuses,
        certified=certified,
        languages=annotator.languages,
        paused=annotator.paused_at is not None,
        done=_done(annotator, batch) if batch.person_quota else 0,
    )
    week = Week(needs_certificate=batch.needs_certificate, person_quota=batch.person_quota)
    return terms_for(person, week)


def _done(annotator: User, batch: Batch) -> int:
    """Judged or in hand."""
    own = {"annotator": annotator, "comparison__batch": batch}
    in_hand = Lease.objects.filter(**own, judged=False).count()
    return in_hand + Judgment.objects.effective().of_annotators().filter(**own).count()


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
