"""What a run would cost here: the formulas on rows, put right by how long such runs really took.

Reads rows and config.json files; changes nothing. The number of queries does not grow with what is asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.db.models import Count, Q
from pydantic import ValidationError

from annotation.models import Batch, Snapshot
from rewardmodel.models import RewardModelVersion
from training.core.advice import warnings_of
from training.core.estimate import Estimate
from training.core.estimate_run import Work, estimate_kind
from training.core.launch_plan import Place, configured
from training.core.queues import queue_of
from training.core.sizes import Machine, ModelSize, machine_called, of_config
from training.core.spec import SPECS, RunKind
from training.core.states import RunState
from training.models import PolicyVersion, Run

Inputs = Mapping[str, Any]

POLICIES: Final = ("policy", "base", "backbone", "policies")  # inputs that name one, or several
REWARD_MODELS: Final = ("helpfulness", "safety", "reward_model", "against")
TARGETS: Final = ("selections", "targets")  # inputs that name runs whose rows are learnt from
STARTING: Final = 5.0  # seconds until a process has loaded its libraries, which no formula counts
REMEMBERED: Final = 20  # runs of a kind that are looked at
MEASURED: Final = 5  # of them, of like size, that are believed
ONE: Final = Place()
ALIKE: Final = 2.0  # times as large or small at most


def house_place() -> Place:
    """What a run may use, as the settings of this process say; a worker's may differ from the web server's.

    Raises:
        OSError: the file that MARGIN_ACCELERATE_CONFIG names cannot be read.
    """
    path = settings.MARGIN_ACCELERATE_CONFIG
    if path:
        return configured(Path(path).read_text(encoding="utf-8"), path)
    return Place(processes=max(1, settings.RUN_PROCESSES), sharded=settings.RUN_SHARDED)


def house_machine() -> Machine:
    """One device of those that this house computes on, as its settings say."""
    return machine_called(settings.MARGIN_GPU)


def estimate_run(*, kind: RunKind, params: Mapping[str, Any], inputs: Inputs) -> Estimate | None:
    """What such a run would need here; None where nothing can be said, as of a model whose folder is not here.

    `inputs` are those of the run: rows by primary key. Of a run that is only planned they may lack `prompts`, whose
    number the parameters tell, and may say `examples`, how many it will learn from.

    Runs of its kind that succeeded here with a model of like size
    tell how fast this house really is; without any, it is as fast as the data sheets say.
    """
    past = list(_succeeded(kind)[:REMEMBERED])
    rows = _Rows([inputs, *(run.inputs for run in past)])
    place = house_place()
    expected = _on_paper(kind, params, inputs, rows, place)
    if expected is None:
        return None
    return _measured(expected, kind, inputs, past, rows, place)


def warnings_for(*, kind: RunKind, params: Mapping[str, Any], inputs: Inputs) -> list[str]:
    """Why such a run would not fit here, and what would; empty where it does, or nothing can be said."""
    checked = _checked(kind, params)
    work = None if checked is None else _Rows([inputs]).work(checked, inputs)
    if checked is None or work is None:
        return []
    place = house_place()
    return warnings_of(kind, checked, work, house_machine().times(place.devices), sharded=place.sharded)


def queue_for(run: Run) -> str:
    """The queue in which a run waits."""
    kind = RunKind(run.kind)
    found = _on_paper(kind, run.params, run.inputs, _Rows([run.inputs]), ONE)
    return queue_of(kind, run.params, found, house_machine(), settings.MARGIN_QUEUES)


def _succeeded(kind: RunKind) -> Any:
    """Newest first; only those that nothing interrupted, whose time is the work's."""
    rows = Run.objects.filter(kind=kind, state=RunState.SUCCEEDED, attempt=1)
    return rows.exclude(started_at=None).exclude(ended_at=None).defer("result")


def _checked(kind: RunKind, params: Mapping[str, Any]) -> dict[str, Any] | None:
    try:
        return SPECS[kind].model_validate(dict(params)).model_dump(mode="json")
    except ValidationError:
        return None


def _on_paper(
    kind: RunKind, params: Mapping[str, Any], inputs: Inputs, rows: _Rows, place: Place
) -> Estimate | None:
    checked = _checked(kind, params)
    work = None if checked is None else rows.work(checked, inputs)
    if checked is None or work is None:
        return None
    machine = house_machine().times(place.devices)
    return estimate_kind(kind, checked, work, machine, sharded=place.sharded)


def _measured(
    expected: Estimate, kind: RunKind, inputs: Inputs, past: Sequence[Run], rows: _Rows, place: Place
) -> Estimate:
    """`expected` at the speed of past runs: their time over what the formula gives for them."""
    size = rows.size(inputs)
    took = wanted = 0.0
    believed = 0
    for run in past:
        theirs = rows.size(run.inputs)
        formula = _on_paper(kind, run.params, run.inputs, rows, place)
        if believed == MEASURED or formula is None or not formula.seconds or not _alike(size, theirs):
            continue
        assert run.started_at is not None  # noqa: S101  excluded above
        assert run.ended_at is not None  # noqa: S101  excluded above
        took += max((run.ended_at - run.started_at) / timedelta(seconds=1) - STARTING, 0.0)
        wanted += formula.seconds
        believed += 1
    if not believed:
        return replace(expected, seconds=STARTING + expected.seconds)
    why = f"as fast as {believed} such run{'s' * (believed > 1)} here; {expected.why}"
    return replace(expected, seconds=STARTING + expected.seconds * took / wanted, why=why)


def _alike(one: int, other: int) -> bool:
    return one > 0 and other > 0 and max(one, other) <= ALIKE * min(one, other)


def size_of_policy(policy: PolicyVersion) -> ModelSize | None:
    """By the config.json of its weights; None where they are not here."""
    weights = policy.adapter_on or policy
    try:
        return replace(of_config(Path(settings.MARGIN_HOME) / weights.path), name=policy.name)
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class _Names:
    """Primary keys that some inputs name."""

    policies: set[int]
    reward_models: set[int]
    snapshots: set[int]
    batches: set[int]
    runs: set[int]


class _Rows:
    """All rows that several runs' inputs name, read at once."""

    def __init__(self, inputs: Sequence[Inputs]) -> None:
        names = _Names(
            _keys(inputs, POLICIES),
            _keys(inputs, REWARD_MODELS),
            _keys(inputs, ("snapshot",)),
            _keys(inputs, ("batch",)),
            _keys(inputs, TARGETS),
        )
        versions = RewardModelVersion.objects.filter(pk__in=names.reward_models)
        self._backbones = dict(versions.values_list("pk", "backbone"))
        wanted = Q(pk__in=names.policies) | Q(name__in=set(self._backbones.values()))
        policies = list(PolicyVersion.objects.filter(wanted).select_related("adapter_on"))
        self._by_pk = {policy.pk: size_of_policy(policy) for policy in policies}
        self._by_name = {policy.name: self._by_pk[policy.pk] for policy in policies}
        snapshots = Snapshot.objects.filter(pk__in=names.snapshots)
        self._rows = dict(snapshots.values_list("pk", "rows"))
        batches = Batch.objects.filter(pk__in=names.batches).annotate(pairs=Count("comparisons"))
        self._pairs = dict(batches.values_list("pk", "pairs"))
        runs = Run.objects.filter(pk__in=names.runs).values_list("pk", "inputs")
        self._prompts = {pk: len(given.get("prompts", ())) for pk, given in runs}

    def work(self, params: Mapping[str, Any], inputs: Inputs) -> Work | None:
        """How much there is to do; None where a model's size or the amount is not known."""
        policies = [self._by_pk.get(pk) for pk in _of(inputs, POLICIES)]
        scorers = [
            self._by_name.get(self._backbones.get(pk, "")) for pk in dict.fromkeys(_of(inputs, REWARD_MODELS))
        ]
        if None in policies or None in scorers:
            return None
        work = Work(
            policies=tuple(size for size in policies if size),
            reward_models=tuple(size for size in scorers if size),
            prompts=len(inputs["prompts"]) if "prompts" in inputs else int(params.get("prompts", 0)),
            examples=inputs.get("examples") or self._examples(inputs),
        )
        return work if work.prompts or work.examples else None

    def size(self, inputs: Inputs) -> int:
        """Parameters of the model that most of the time goes into; 0: not known."""
        keys = _of(inputs, POLICIES)
        names = [self._backbones.get(pk, "") for pk in _of(inputs, REWARD_MODELS)]
        found = [self._by_pk.get(pk) for pk in keys] or [self._by_name.get(name) for name in names]
        return max((size.parameters for size in found if size), default=0)

    def _examples(self, inputs: Inputs) -> int:
        learnt = sum(self._prompts.get(pk, 0) for pk in _of(inputs, TARGETS))
        pairs = 0 if "policies" in inputs else self._pairs.get(inputs.get("batch", 0), 0)
        return learnt + pairs + self._rows.get(inputs.get("snapshot", 0), 0)


def _of(inputs: Inputs, names: Iterable[str]) -> list[int]:
    """The primary keys that an input's names hold, in their order."""
    found: list[int] = []
    for name in names:
        value = inputs.get(name)
        found += [key for key in (value if isinstance(value, list) else [value]) if isinstance(key, int)]
    return found


def _keys(inputs: Sequence[Inputs], names: Iterable[str]) -> set[int]:
    wanted = tuple(names)
    return {key for given in inputs for key in _of(given, wanted)}
