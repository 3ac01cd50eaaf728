"""Questions about runs, policies and iterations that views, admin and commands ask."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Final

from django.db.models import QuerySet
from django.db.models.fields.json import KT
from django.utils import timezone

from annotation.models import Batch, Comparison, Snapshot, User
from annotation.queries import open_batch
from rewardmodel.models import RewardModelVersion
from training.core.states import RUN_ACTIVE, LiveState
from training.models import Iteration, LivePrompt, PolicyVersion, Run, RunEvent, WorkerBeat
from training.worker import BEAT


def worker_is_alive() -> bool:
    """Whether some worker that takes runs was heard of lately."""
    return WorkerBeat.objects.filter(seen_at__gte=timezone.now() - timedelta(seconds=4 * BEAT)).exists()


def latest_iteration() -> Iteration | None:
    return Iteration.objects.select_related("batch", "policy", "base").first()


def newest_policies() -> list[PolicyVersion]:
    """The newest policy and the one before it: every batch compares the two (section 3.2.1)."""
    return list(PolicyVersion.objects.order_by("-created_at", "-pk")[:2])


def newest_policy() -> PolicyVersion | None:
    return PolicyVersion.objects.first()


def active_runs(iteration: Iteration) -> list[Run]:
    return list(iteration.runs.filter(state__in=RUN_ACTIVE))


def run_with_key(key: str) -> Run | None:
    return Run.objects.filter(key=key).first()


def answering_policies() -> list[PolicyVersion]:
    """The newest two that a response server answers for; the newest comes first."""
    return list(PolicyVersion.objects.exclude(endpoint="")[:2])


def why_no_live(batch: Batch | None, policies: list[PolicyVersion]) -> str:
    """Why nobody can have a prompt answered now, in a sentence; empty: they can."""
    if batch is None:
        return "No batch is open, so there is nothing to write prompts for."
    if batch.turn_limit == 0:
        return f"{batch.name} takes no prompts of your own."
    if not policies:
        return "No model answers prompts at present: no policy has a response server."
    return ""


def open_live_prompt(annotator: User) -> LivePrompt | None:
    """The newest prompt of theirs in the open batch that waits for answers or for being asked again."""
    waiting = (LiveState.ASKING, LiveState.STOPPED, LiveState.FAILED)
    rows = LivePrompt.objects.filter(annotator=annotator, batch=open_batch(), state__in=waiting)
    return rows.select_related("continues").first()


def live_comparison(prompt: LivePrompt) -> Comparison:
    """The pair of an answered prompt, with all that its page shows."""
    rows = Comparison.objects.select_related("batch", "dialogue", "response_a", "response_b")
    return rows.get(live_prompt=prompt)


def runs_shown(rows: QuerySet[Run]) -> QuerySet[Run]:
    """Runs as lists show them, with what each makes as `made`; without what may be long."""
    rows = rows.select_related("iteration", "created_by").annotate(made=KT("inputs__name"))
    return rows.defer("inputs", "params", "result")


# What an input names: the model, and the column that people know its rows by.
NAMED: Final[Mapping[str, tuple[type[Any], str]]] = MappingProxyType(
    {
        "batch": (Batch, "number"),
        "snapshot": (Snapshot, "pk"),
        "backbone": (PolicyVersion, "name"),
        "base": (PolicyVersion, "name"),
        "policy": (PolicyVersion, "name"),
        "policies": (PolicyVersion, "name"),
        "helpfulness": (RewardModelVersion, "name"),
        "safety": (RewardModelVersion, "name"),
        "reward_model": (RewardModelVersion, "name"),
        "current": (RewardModelVersion, "name"),
        "against": (RewardModelVersion, "name"),
        "selections": (Run, "uid"),
        "targets": (Run, "uid"),
        "rounds": (Run, "uid"),
    }
)


def named_inputs(run: Run) -> dict[str, Any]:
    """What a run reads and writes, by the names that its starter gave; of its prompts the number. A query a name."""
    shown: dict[str, Any] = {}
    for name, value in run.inputs.items():
        if name == "prompts":
            shown[name] = len(value)
        elif name in NAMED:
            model, column = NAMED[name]
            keys = value if isinstance(value, list) else [value]
            known = dict(model.objects.filter(pk__in=keys).values_list("pk", column))
            found = [known.get(key) for key in keys]
            shown[name] = found if isinstance(value, list) else found[0]
        else:
            shown[name] = value
    return shown


def run_again(run: Run) -> Run:
    """As it is now, without what may be long."""
    return Run.objects.defer("inputs", "params", "result").get(pk=run.pk)


def events_after(run: Run, pk: int, limit: int) -> list[RunEvent]:
    """Its events behind one of them, in the order in which they happened."""
    return list(RunEvent.objects.filter(run=run, pk__gt=pk).order_by("pk")[:limit])
