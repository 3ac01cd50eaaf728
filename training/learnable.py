"""Which runs made something to learn from, for the forms that ask. Knows rows; decides nothing."""

from __future__ import annotations

from django.db.models import QuerySet

from training.core.spec import RunKind
from training.core.states import RunState
from training.core.targets import TARGETS
from training.models import Run


def runs_with_targets() -> QuerySet[Run]:
    """Those that succeeded, of the kinds that make targets, but for selections, which have a field of their own."""
    kinds = set(TARGETS) - {RunKind.REJECTION_SAMPLE}
    return Run.objects.filter(kind__in=kinds, state=RunState.SUCCEEDED).select_related("iteration")
