"""Questions about prompts: what resembles them, what was done with them."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Count, IntegerField, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce

from annotation.core.states import ComparisonState
from annotation.models import AuditEvent, Comparison, Prompt
from annotation.services.duplicates import near_prompts


@dataclass(frozen=True, slots=True)
class PromptRecord:
    """What a prompt's page shows beside its columns."""

    near: list[tuple[Prompt, float]]  # the closest first
    family: int  # prompts of its cluster, itself included
    comparisons: int
    history: list[AuditEvent]  # the newest first


def with_near(rows: QuerySet[Prompt]) -> QuerySet[Prompt]:
    """Adds `near_n`, the other prompts of its cluster."""
    head = Coalesce(OuterRef("cluster"), OuterRef("pk"))
    # The oldest has no cluster itself: counting those that name it counts all others, or as many.
    others = (
        Prompt.objects.filter(cluster=head).order_by().values("cluster").annotate(n=Count("pk")).values("n")
    )
    return rows.annotate(near_n=Coalesce(Subquery(others, output_field=IntegerField()), 0))


def record_of(prompt: Prompt, *, most: int = 20) -> PromptRecord:
    """At most `most` near-duplicates and lines of history."""
    near = [pair for pair in near_prompts(text=prompt.text, most=most + 1) if pair[0].pk != prompt.pk]
    head = prompt.cluster_id or prompt.pk
    pairs = Comparison.objects.filter(dialogue__prompt=prompt).exclude(state=ComparisonState.WITHDRAWN)
    history = AuditEvent.objects.filter(object_type="prompt", object_id=str(prompt.pk))
    return PromptRecord(
        near=near[:most],
        family=Prompt.objects.filter(Q(pk=head) | Q(cluster=head)).count(),
        comparisons=pairs.count(),
        history=list(history[:most]),
    )
