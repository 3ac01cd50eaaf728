"""Which iterations came before one: a week may have several by forks, and one of them led here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from training.core.recipe import StepKind
from training.core.states import StepState
from training.models import Iteration, Run
from training.models.policies import IterationStep


def ancestors(iteration: Iteration) -> list[Iteration]:
    """Those that led to this one, the oldest first."""
    rows = list(Iteration.objects.select_related("batch").order_by("batch__number", "number"))
    found: list[Iteration] = []
    before = _before(iteration, rows)
    while before is not None:
        found.append(before)
        before = _before(before, rows)
    return found[::-1]


def _before(iteration: Iteration, rows: Sequence[Iteration]) -> Iteration | None:
    """The one that opened its week; where a person began it, the newest of an earlier week. Of several it is the one
    whose policy it began with."""
    earlier = [row for row in rows if row.batch.number < iteration.batch.number]
    opened = [row for row in earlier if row.next_batch_id == iteration.batch_id]
    same = [row for row in opened or earlier if row.tuned_id == iteration.policy_id]
    chosen = same or opened or earlier
    return chosen[-1] if chosen else None


def rounds_before(iteration: Iteration) -> list[Run]:
    """The runs that selected winners in the weeks before, the oldest first; a fork's siblings are none of them."""
    return [step.run for step in _selections(ancestors(iteration)) if step.run is not None]


def _selections(iterations: Iterable[Iteration]) -> list[IterationStep]:
    steps = IterationStep.objects.filter(
        iteration__in=list(iterations), kind=StepKind.REJECTION_SAMPLE, state=StepState.DONE
    )
    return list(steps.select_related("run").order_by("iteration__batch__number", "position"))
