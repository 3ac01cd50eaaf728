"""Iterations for tests: on a judged week, and ends of all their kinds of run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from annotation.core.grades import Focus
from annotation.models import Batch, Comparison, Prompt, User
from tests.factories import make_judgment, make_policy
from training.core.recipe import Recipe
from training.core.spec import RunKind
from training.core.states import RunState
from training.models import Iteration, PolicyVersion, Run
from training.services import iterations, runs
from training.services.policies import register_policy
from training.tests.outcomes import succeed

PARAMS: dict[str, Any] = {RunKind.SAMPLE: {"prompts": 2}, RunKind.REJECTION_SAMPLE: {"prompts": 2}}


def begin(
    week: Batch,
    ada: User,
    pairs: Callable[..., list[Comparison]],
    *,
    recipe: Recipe | None = None,
    automatic: bool = False,
    params: dict[str, Any] | None = None,
) -> Iteration:
    """V1 on a week of three judged pairs, begun from policy V0."""
    pairs(2)
    pairs(1, focus=Focus.SAFETY)
    Prompt.objects.update(in_pool=True)
    for _ in range(3):
        make_judgment(ada)
    policy = make_policy("V0")
    return iterations.create_iteration(
        batch=week,
        policy=policy,
        base=policy,
        seed=5,
        recipe=recipe,
        params=PARAMS if params is None else params,
        automatic=automatic,
    )


def end_well(run: Run) -> None:
    """End a run of any kind as its launcher would, with an outcome made up for its kind."""
    if run.kind not in (RunKind.PPO, RunKind.FINETUNE):
        succeed(run)
        return
    held = runs.claim_run(pk=run.pk)
    assert held is not None

    def register() -> None:
        parent = PolicyVersion.objects.get(pk=held.inputs.get("policy") or held.inputs["base"])
        register_policy(name=held.inputs["name"], sha256=f"{held.pk:064}", run=held, parent=parent)
        iterations.note_success(held)

    runs.end_run(run=held, state=RunState.SUCCEEDED, register=register)


def go_through(iteration: Iteration, *, until: str = "") -> list[Run]:
    """Start and end one wave after the other, until the step `until` is done; returns the runs that really ran."""
    ran: list[Run] = []
    while iterations.next_action(iteration):
        if until and iteration.steps.get(name=until).state == "done":
            break
        for run in iterations.start_next(iteration=iteration):
            end_well(run)
            ran.append(run)
    iteration.refresh_from_db()
    return ran


def finish_all() -> None:
    """End whatever waits in the queue, and what is queued because of it."""
    while (run := Run.objects.filter(state=RunState.QUEUED).order_by("pk").first()) is not None:
        end_well(run)


def kinds(found: list[Run]) -> list[str]:
    return [run.kind for run in found]
