"""Figures of the week for those who run the loop: how far it is, and what sealing would freeze.

Knows rows and counts; lists ask here once and not once a row.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Count, Exists, IntegerField, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.utils import timezone

from annotation.core import holdout
from annotation.core.grades import Focus
from annotation.core.states import BatchState, ComparisonState
from annotation.models import Batch, BatchEvent, Comparison, Guideline, Judgment, Lease, Prompt, Snapshot


def _number(rows: QuerySet[Comparison] | QuerySet[Judgment], by: str) -> Coalesce:
    counted = rows.order_by().values(by).annotate(n=Count("pk")).values("n")
    return Coalesce(Subquery(counted, output_field=IntegerField()), 0)


def with_counts(rows: QuerySet[Batch]) -> QuerySet[Batch]:
    """Adds `comparisons_n`, `complete_n` (withdrawn ones left out of both) and `judgments_n`. Attention checks count
    in none."""
    own = Comparison.objects.ordinary().filter(batch=OuterRef("pk")).exclude(state=ComparisonState.WITHDRAWN)
    judged = Judgment.objects.counting().filter(comparison__batch=OuterRef("pk"))
    return rows.annotate(
        comparisons_n=_number(own, "batch"),
        complete_n=_number(own.filter(state=ComparisonState.COMPLETE), "batch"),
        judgments_n=_number(judged, "comparison__batch"),
    )


def with_judgment_counts(rows: QuerySet[Comparison]) -> QuerySet[Comparison]:
    """Adds `judgments_n`, the judgments that count."""
    judged = Judgment.objects.effective().of_annotators().filter(comparison=OuterRef("pk"))
    return rows.annotate(judgments_n=_number(judged, "comparison"))


@dataclass(frozen=True, slots=True)
class FocusCount:
    focus: str
    comparisons: int
    complete: int
    judgments: int


def counts_by_focus(batch: Batch) -> list[FocusCount]:
    """One row a focus, also where there is nothing yet."""
    pairs = batch.comparisons.ordinary().exclude(state=ComparisonState.WITHDRAWN)
    rows = pairs.values_list("focus").annotate(
        n=Count("pk"), complete=Count("pk", filter=Q(state=ComparisonState.COMPLETE))
    )
    found = {focus: (n, complete) for focus, n, complete in rows}
    judgments = Judgment.objects.counting().filter(comparison__batch=batch)
    judged = dict(judgments.order_by().values_list("focus").annotate(n=Count("pk")))
    return [FocusCount(focus, *found.get(focus, (0, 0)), judged.get(focus, 0)) for focus in Focus]


@dataclass(frozen=True, slots=True)
class SealPreview:
    """What sealing would do now, in numbers of comparisons and judgments."""

    comparisons: int
    judged: int  # comparisons with a judgment that counts: these become data
    incomplete: int  # judged, but by fewer people than planned
    unjudged: int  # these become nothing
    withdrawn: int
    judgments: int
    in_hands: int  # pairs that somebody holds; what they send afterwards is refused
    held_out: int  # examples that stand in the hold-out afterwards, about


def seal_preview(batch: Batch) -> SealPreview:
    effective = Judgment.objects.effective().filter(comparison=OuterRef("pk"))
    every = batch.comparisons.ordinary().annotate(is_judged=Exists(effective))
    live = every.exclude(state=ComparisonState.WITHDRAWN)
    figures = live.aggregate(
        comparisons=Count("pk"),
        judged=Count("pk", filter=Q(is_judged=True)),
        incomplete=Count("pk", filter=Q(is_judged=True, state=ComparisonState.OPEN)),
    )
    examples = every.filter(is_judged=True)
    already = examples.filter(dialogue__prompt__split=Prompt.Split.TEST).count()
    return SealPreview(
        **figures,
        unjudged=figures["comparisons"] - figures["judged"],
        withdrawn=every.filter(state=ComparisonState.WITHDRAWN).count(),
        judgments=Judgment.objects.counting().filter(comparison__batch=batch).count(),
        in_hands=Lease.objects.filter(
            comparison__batch=batch, judged=False, expires_at__gt=timezone.now()
        ).count(),
        held_out=max(already, holdout.target_size(examples.count(), batch.holdout)),
    )


def guidelines_of(focus: Focus) -> QuerySet[Guideline]:
    """All versions, the newest first."""
    return Guideline.objects.filter(focus=focus).order_by("-version")


def story_of(batch: Batch) -> list[BatchEvent]:
    """What happened to a batch, oldest first."""
    return list(batch.events.select_related("by"))


def snapshots_of(batch: Batch) -> list[Snapshot]:
    """Snapshots that hold it, newest first."""
    return list(batch.snapshots.all())


def newest_batch() -> Batch | None:
    return Batch.objects.order_by("-number").first()


def sealed_batches() -> list[Batch]:
    """Weeks whose judgments no longer change, the newest first."""
    return list(Batch.objects.filter(state=BatchState.SEALED).order_by("-number"))


def sealed_up_to(batch: Batch) -> list[Batch]:
    """The batch and the sealed ones before it, oldest first: reward models learn from everything so far."""
    rows = Batch.objects.filter(state=BatchState.SEALED, number__lte=batch.number)
    return list(rows.order_by("number"))
