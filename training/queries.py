"""Questions about runs, policies and iterations that views, admin and commands ask."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from training.core.states import RUN_ACTIVE
from training.models import Iteration, PolicyVersion, Run, WorkerBeat
from training.worker import BEAT


def worker_is_alive() -> bool:
    """Whether some worker that takes runs was heard of lately."""
    return WorkerBeat.objects.filter(seen_at__gte=timezone.now() - timedelta(seconds=4 * BEAT)).exists()


def latest_iteration() -> Iteration | None:
    return Iteration.objects.select_related("batch", "policy", "base").first()


def newest_policy() -> PolicyVersion | None:
    return PolicyVersion.objects.first()


def active_runs(iteration: Iteration) -> list[Run]:
    return list(iteration.runs.filter(state__in=RUN_ACTIVE))


def run_with_key(key: str) -> Run | None:
    return Run.objects.filter(key=key).first()
