"""Composing iterations: a new one on a batch, and the one that follows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import transaction
from django.db.models import Max
from pydantic import ValidationError

from annotation.core.grades import Focus
from annotation.errors import ConflictError
from annotation.models import Batch, User
from annotation.services.audit import record
from training.core.recipe import PRESETS, Recipe, Wired, wired
from training.core.spec import RunKind
from training.core.states import StepState
from training.errors import InvalidSpecError
from training.models import Iteration, PolicyVersion
from training.models.policies import IterationStep
from training.services.runs import check_params

Params = Mapping[str, Mapping[str, Any]]


def read_recipe(value: Any) -> Recipe:
    """A recipe from JSON.

    Raises:
        InvalidSpecError: it is none; says what is wrong where.
    """
    try:
        return Recipe.model_validate(value)
    except ValidationError as error:
        problems: list[dict[str, object]] = [
            {"field": "recipe", "reason": " ".join((".".join(str(p) for p in e["loc"]), e["msg"])).strip()}
            for e in error.errors()
        ]
        raise InvalidSpecError(
            "This is no recipe. " + "; ".join(str(p["reason"]) for p in problems), errors=problems
        ) from error


def checked_params(params: Params) -> dict[str, dict[str, Any]]:
    """Raises InvalidSpecError where a kind or a parameter is none."""
    checked = {}
    for kind, values in params.items():
        if kind not in set(RunKind):
            raise InvalidSpecError(
                f"There is no kind of run named {kind!r}: choose from {', '.join(RunKind)}."
            )
        fixed = {"focus": Focus.HELPFULNESS} if kind == RunKind.TRAIN_REWARD_MODEL else {}
        check_params(RunKind(kind), {**values, **fixed})
        checked[kind] = dict(values)
    return checked


@transaction.atomic
def create_iteration(
    *,
    batch: Batch,
    policy: PolicyVersion,
    base: PolicyVersion,
    seed: int = 0,
    recipe: Recipe | None = None,
    params: Params | None = None,
    automatic: bool = False,
    by: User | None = None,
) -> Iteration:
    """Begin V(n+1) on a batch. `params` holds parameters by kind of run, for every step of that kind.

    Raises:
        InvalidSpecError: a kind or a parameter that there is not.
        ConflictError: the batch has an iteration; fork that one.
    """
    checked = checked_params(params or {})
    if (other := Iteration.objects.filter(batch=batch).first()) is not None:
        raise ConflictError(
            f"{batch.name} belongs to {other} already. Begin on another batch, or fork {other}."
        )
    whole = (recipe or PRESETS["rejection"]).with_params(checked)
    iteration = Iteration.objects.create(
        number=next_number(),
        batch=batch,
        policy=policy,
        base=base,
        seed=seed,
        params={**checked, **whole.params_by_kind()},
        recipe=whole.to_json(),
        automatic=automatic,
    )
    add_steps(iteration, wired(whole))
    record("iteration.begun", iteration, by=by, batch=batch.name, policy=policy.name)
    return iteration


def next_number() -> int:
    """Of the next iteration."""
    return (Iteration.objects.aggregate(last=Max("number"))["last"] or 0) + 1


def add_steps(iteration: Iteration, steps: Sequence[Wired], done: Sequence[IterationStep] = ()) -> None:
    """The first of them are done already, by the work of `done`."""
    rows = []
    for position, step in enumerate(steps):
        row = IterationStep(iteration=iteration, position=position, name=step.name, kind=step.kind)
        row.params, row.reads, row.seed = dict(step.params), step.reads, step.seed
        if position < len(done):
            row.state, row.run, row.digest = StepState.DONE, done[position].run, done[position].digest
            row.reused, row.ended_at = True, done[position].ended_at
        rows.append(row)
    IterationStep.objects.bulk_create(rows)


def follow(iteration: Iteration) -> None:
    """Begin the next iteration where the new policy's pairs wait."""
    if iteration.next_batch is None or iteration.tuned is None:
        return
    if not Iteration.objects.filter(batch=iteration.next_batch).exists():
        create_iteration(
            batch=iteration.next_batch,
            policy=iteration.tuned,
            base=iteration.base,
            seed=iteration.seed,
            recipe=read_recipe(iteration.recipe),
            params=iteration.params,
            automatic=iteration.automatic,
        )
