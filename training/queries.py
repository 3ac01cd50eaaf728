"""Questions about runs, policies and iterations that views, admin and commands ask."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from annotation.models import Batch, Comparison, User
from annotation.queries import open_batch
from training.core.states import RUN_ACTIVE, LiveState
from training.models import Iteration, LivePrompt, PolicyVersion, Run, WorkerBeat
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
