"""The door of supervised fine-tuning."""

from __future__ import annotations

from annotation.errors import ConflictError
from annotation.models import User
from training.core.spec import RunKind
from training.core.specs.finetune import FinetuneSpec
from training.core.states import RunState
from training.errors import NotReadyError
from training.models import Iteration, PolicyVersion, Run
from training.services.runs import check_params, queue_run
from training.services.start.checks import Params, check_policy_name


def start_finetune(
    *,
    name: str,
    base: PolicyVersion,
    selection: Run,
    params: Params,
    seed: int = 0,
    key: str | None = None,
    iteration: Iteration | None = None,
    by: User | None = None,
) -> Run:
    """Fine-tune `base` on the winners of `selection` and, if the parameters say so, of all earlier rounds."""
    check_policy_name(name, key)
    if selection.kind != RunKind.REJECTION_SAMPLE or selection.state != RunState.SUCCEEDED:
        raise NotReadyError(
            f"Run {selection.pk} has no winners: choose a rejection-sampling run that succeeded."
        )
    if base.adapter_on is not None:
        raise ConflictError(
            f"{base.name} is an adapter. Fine-tuning starts from whole weights: {base.adapter_on}."
        )
    spec = FinetuneSpec.model_validate(check_params(RunKind.FINETUNE, params))
    selections = [*(_earlier(selection) if spec.every_iteration else ()), selection.pk]
    inputs = {"name": name, "base": base.pk, "selections": selections}
    return queue_run(
        kind=RunKind.FINETUNE, params=params, inputs=inputs, seed=seed, key=key, iteration=iteration, by=by
    )


def _earlier(selection: Run) -> list[int]:
    """Selections of earlier iterations, oldest first: winners are never forgotten (section 3.2.3)."""
    if selection.iteration is None:
        return []
    rows = Run.objects.filter(
        kind=RunKind.REJECTION_SAMPLE,
        state=RunState.SUCCEEDED,
        iteration__number__lt=selection.iteration.number,
    )
    return list(rows.order_by("iteration__number", "pk").values_list("pk", flat=True))
