"""What the admin's pages show of runs and iterations: progress, metrics, inputs by name, the end of a log.

Knows rows and a run's folder. Decides nothing and changes nothing.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from django.db.models import Count, Max, QuerySet
from django.urls import reverse
from django.utils import timezone

from annotation.core.grades import Focus
from annotation.core.states import BatchState, SnapshotState
from annotation.models import Batch, Snapshot
from rewardmodel.models import RewardModelVersion
from training.core.job import LOG
from training.core.spec import SPECS, RunKind
from training.core.states import RUN_ACTIVE, RUN_ENDED, RunState
from training.models import Iteration, PolicyVersion, Run, RunEvent

LOG_TAIL: Final = 64 * 1024  # bytes
NEWEST_EVENTS: Final = 200
METRIC_EVENTS: Final = 5000
PLOTTED: Final = 60  # points of a small plot
SETTLED: Final = timedelta(seconds=3)  # before this a rate says nothing


def time_left(run: Run) -> timedelta | None:
    """How long the present stage still takes at its present rate; None where nothing can be said.

    A stage that went on from a checkpoint seems faster than it is at first.
    """
    if run.state != RunState.RUNNING or not 0 < run.done < run.total:
        return None
    begun: datetime | None = run.events.filter(type__in=("stage", "started")).aggregate(at=Max("at"))["at"]
    elapsed = timezone.now() - begun if begun else timedelta(0)
    return elapsed * ((run.total - run.done) / run.done) if elapsed >= SETTLED else None


def took(run: Run) -> timedelta | None:
    """From its start to its end, or until now."""
    if run.started_at is None:
        return None
    return (run.ended_at or timezone.now()) - run.started_at


@dataclass(slots=True)
class Metric:
    """One named series: its values by step, the last of which stands for it."""

    name: str
    values: list[float] = field(default_factory=list)
    step: int = 0

    @property
    def last(self) -> float:
        return self.values[-1]

    @property
    def plot(self) -> str:
        """Points of an SVG polyline in a box 100 wide and 24 high; empty for fewer than two values."""
        some = self.values[:: max(1, len(self.values) // PLOTTED)]
        if len(some) < 2:
            return ""
        low, high = min(some), max(some)
        scale = (high - low) or 1.0
        width = 100 / (len(some) - 1)
        return " ".join(f"{i * width:.1f},{23 - 22 * (v - low) / scale:.1f}" for i, v in enumerate(some))


def metrics_of(run: Run) -> list[Metric]:
    """In the order in which they first appeared. A step that was repeated after a loss counts once."""
    rows = run.events.filter(type="metric").order_by("-pk").values_list("data", flat=True)[:METRIC_EVENTS]
    series: dict[str, dict[int, float]] = {}
    for data in reversed(rows):
        name, value, step = data.get("name"), data.get("value"), data.get("step")
        if isinstance(name, str) and isinstance(value, int | float) and isinstance(step, int):
            series.setdefault(name, {})[step] = float(value)
    return [Metric(name, [steps[s] for s in sorted(steps)], max(steps)) for name, steps in series.items()]


def events_of(run: Run) -> list[RunEvent]:
    """The newest events but metrics, in the order in which they happened."""
    return list(reversed(run.events.exclude(type="metric").order_by("-pk")[:NEWEST_EVENTS]))


def log_tail(run: Run) -> str:
    """The end of what its process printed. The place comes from the run's own uid, never from a request."""
    try:
        with (run.folder / LOG).open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - LOG_TAIL))
            text = file.read(LOG_TAIL).decode(errors="replace")
    except OSError:
        return ""
    # The first line of a tail is half a line.
    return text if size <= LOG_TAIL else text.partition("\n")[2]


@dataclass(frozen=True, slots=True)
class Named:
    """A value that a run was given or made, and what it means."""

    name: str
    value: str
    about: str = ""
    plain: bool = False  # it is the default
    address: str = ""  # of the row it names


def params_of(run: Run) -> list[Named]:
    fields = SPECS[RunKind(run.kind)].model_fields
    rows = []
    for name, value in run.params.items():
        info = fields.get(name)
        standard = info.default if info and not info.is_required() else None
        plain = _shown(value) == _shown(standard) if standard is not None else False
        rows.append(Named(name, _shown(value), (info.description or "") if info else "", plain))
    return rows


ROWS: Final[Mapping[str, tuple[type[Any], str]]] = {
    "batch": (Batch, "admin:annotation_batch_change"),
    "snapshot": (Snapshot, "admin:annotation_snapshot_change"),
    "backbone": (PolicyVersion, "admin:training_policyversion_change"),
    "base": (PolicyVersion, "admin:training_policyversion_change"),
    "policy": (PolicyVersion, "admin:training_policyversion_change"),
    "policies": (PolicyVersion, "admin:training_policyversion_change"),
    "reward_model": (RewardModelVersion, "admin:rewardmodel_rewardmodelversion_change"),
    "current": (RewardModelVersion, "admin:rewardmodel_rewardmodelversion_change"),
    "against": (RewardModelVersion, "admin:rewardmodel_rewardmodelversion_change"),
    "helpfulness": (RewardModelVersion, "admin:rewardmodel_rewardmodelversion_change"),
    "safety": (RewardModelVersion, "admin:rewardmodel_rewardmodelversion_change"),
    "selections": (Run, "admin:training_run_change"),
    "targets": (Run, "admin:training_run_change"),
    "rounds": (Run, "admin:training_run_change"),
}


def inputs_of(run: Run) -> list[Named]:
    """The rows that a run reads and writes, by name."""
    shown = []
    for name, value in run.inputs.items():
        if name == "prompts":
            shown.append(Named("prompts", f"{len(value):,}", "drawn from the pool"))
        elif name in ROWS:
            model, place = ROWS[name]
            keys = value if isinstance(value, list) else [value]
            found = model.objects.in_bulk(keys)
            shown += [Named(name, str(found.get(k, k)), address=reverse(place, args=(k,))) for k in keys]
        else:
            shown.append(Named(name, _shown(value)))
    return shown


def result_of(run: Run) -> list[Named]:
    """A result as rows; what is nested is named by its path."""
    return _flat("", run.result)


def _flat(path: str, value: Any) -> list[Named]:
    if not isinstance(value, Mapping):
        return [Named(path, _shown(value))]
    return [
        row for key, item in value.items() for row in _flat(f"{path} · {key}" if path else str(key), item)
    ]


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, list | tuple):
        return ", ".join(_shown(item) for item in value)
    return "—" if value is None else str(value)


def runs_at_work() -> QuerySet[Run]:
    return Run.objects.filter(state__in=RUN_ACTIVE).select_related("iteration")


def recent_runs(count: int = 8) -> list[Run]:
    return list(Run.objects.select_related("iteration")[:count])


def runs_of(iteration: Iteration) -> list[Run]:
    return list(iteration.runs.order_by("pk"))


def batches() -> QuerySet[Batch]:
    return Batch.objects.all()


def batches_that_take_pairs() -> QuerySet[Batch]:
    return Batch.objects.exclude(state=BatchState.SEALED)


def batches_without_iteration() -> QuerySet[Batch]:
    return Batch.objects.filter(iteration=None)


def policies() -> QuerySet[PolicyVersion]:
    return PolicyVersion.objects.all()


def whole_policies() -> QuerySet[PolicyVersion]:
    """Those that hold whole weights, from which fine-tuning and reward models start."""
    return PolicyVersion.objects.filter(adapter_on=None)


def reward_models(focus: Focus) -> QuerySet[RewardModelVersion]:
    """The current one first: it is what a form proposes."""
    return RewardModelVersion.objects.filter(focus=focus).current_first()


def every_reward_model() -> QuerySet[RewardModelVersion]:
    """The newest first, which is the one that waits, if any does."""
    return RewardModelVersion.objects.with_current()


def has_reward_model() -> bool:
    return RewardModelVersion.objects.exists()


def snapshots() -> QuerySet[Snapshot]:
    return Snapshot.objects.filter(state=SnapshotState.READY)


def snapshots_by_weeks() -> QuerySet[Snapshot]:
    """The one that holds the most weeks first, the newest of those."""
    return snapshots().annotate(weeks=Count("batches")).order_by("-weeks", "-created_at", "-pk")


def selections() -> QuerySet[Run]:
    """Rejection-sampling runs whose winners can be learnt from."""
    rows = Run.objects.filter(kind=RunKind.REJECTION_SAMPLE, state=RunState.SUCCEEDED)
    return rows.select_related("iteration")


def run_by_key(pk: int) -> Run | None:
    return Run.objects.filter(pk=pk).first()


def is_waited_for(run: Run) -> bool:
    """Whether an iteration's stage hangs on this run, which ended without success."""
    return bool(run.key and run.iteration) and run.state in RUN_ENDED and run.state != RunState.SUCCEEDED


def iteration_of(batch: Batch) -> Iteration | None:
    return Iteration.objects.filter(batch=batch).first()


def free_name(stem: str, kind: RunKind) -> str:
    """`stem`, or with the first number behind it that no version and no run at work has."""
    model: Any = RewardModelVersion if kind == RunKind.TRAIN_REWARD_MODEL else PolicyVersion
    taken = set(model.objects.filter(name__startswith=stem).values_list("name", flat=True))
    promised = Run.objects.filter(state__in=RUN_ACTIVE, inputs__name__startswith=stem)
    taken |= {str(inputs["name"]) for inputs in promised.values_list("inputs", flat=True)}
    if stem not in taken:
        return stem
    return next(name for n in range(2, len(taken) + 3) if (name := f"{stem}-{n}") not in taken)
