"""The door of supervised fine-tuning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from annotation.core.states import SnapshotState
from annotation.errors import ConflictError
from annotation.models import Snapshot, User
from training.core.spec import RunKind
from training.core.specs.finetune import FinetuneSpec
from training.core.states import RunState
from training.core.targets import TARGETS
from training.errors import NotReadyError
from training.models import Iteration, PolicyVersion, Run
from training.services.conversations import conversations_at
from training.services.runs import check_params, queue_run
from training.services.start.checks import Params, check_policy_name


def start_finetune(
    *,
    name: str,
    base: PolicyVersion,
    params: Params,
    selection: Run | None = None,
    targets: Sequence[Run] = (),
    snapshot: Snapshot | None = None,
    conversations: str = "",
    seed: int = 0,
    key: str | None = None,
    iteration: Iteration | None = None,
    by: User | None = None,
) -> Run:
    """Fine-tune `base` on any mixture of sources, at least one.

    `selection` and `targets` are runs of the kinds in TARGETS; where one of them selected winners, those of all earlier
    rounds are learnt too, if the parameters say so. Of a `snapshot` the chosen responses are learnt. `conversations` is
    the hash of a kept file.
    """
    check_policy_name(name, key)
    if base.adapter_on is not None:
        raise ConflictError(
            f"{base.name} is an adapter. Fine-tuning starts from whole weights: {base.adapter_on}."
        )
    spec = FinetuneSpec.model_validate(check_params(RunKind.FINETUNE, params))
    runs = [*targets, *([selection] if selection else [])]
    found = {**_runs(runs, every_iteration=spec.every_iteration), **_data(snapshot, conversations)}
    if not found:
        raise NotReadyError(
            "There is nothing to learn from. Choose a run that made something to learn, a snapshot, or conversations."
        )
    return queue_run(
        kind=RunKind.FINETUNE,
        params=params,
        inputs={"name": name, "base": base.pk, **found},
        seed=seed,
        key=key,
        iteration=iteration,
        by=by,
    )


def _runs(runs: Sequence[Run], *, every_iteration: bool) -> dict[str, list[int]]:
    """Those that selected winners as `selections`, with earlier ones before them, and all others as `targets`."""
    for run in runs:
        if run.kind not in TARGETS or run.state != RunState.SUCCEEDED:
            raise NotReadyError(
                f"Run {run.pk} has no winners and nothing else to learn: choose one of the kinds "
                f"{', '.join(TARGETS)} that succeeded."
            )
    chosen = [run for run in runs if run.kind == RunKind.REJECTION_SAMPLE]
    earlier = [pk for run in chosen for pk in _earlier(run)] if every_iteration else []
    found = {
        "selections": list(dict.fromkeys([*earlier, *(run.pk for run in chosen)])),
        "targets": list(dict.fromkeys(run.pk for run in runs if run.kind != RunKind.REJECTION_SAMPLE)),
    }
    return {name: keys for name, keys in found.items() if keys}


def _data(snapshot: Snapshot | None, conversations: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if snapshot is not None:
        if snapshot.state != SnapshotState.READY:
            raise NotReadyError(f"The snapshot {snapshot} is {snapshot.state}: learn from one that is ready.")
        found["snapshot"] = snapshot.pk
    if conversations:
        conversations_at(conversations)
        found["conversations"] = conversations
    return found


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
