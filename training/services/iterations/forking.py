"""Forks: a new iteration from the state that another one had before one of its steps."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import transaction

from annotation.models import User
from annotation.services.audit import record
from training.core.plan import stage_reached
from training.core.recipe import Recipe, StepKind, Wired, wired
from training.core.states import StepState
from training.errors import InvalidSpecError, NotReadyError
from training.models import Iteration
from training.models.policies import IterationStep
from training.services.iterations.compose import Params, add_steps, checked_params, next_number, read_recipe
from training.services.iterations.moving import keep_product
from training.services.iterations.rows import locked, steps_of


@transaction.atomic
def fork_iteration(
    *,
    iteration: Iteration,
    at: str,
    recipe: Recipe | None = None,
    params: Params | None = None,
    seed: int | None = None,
    automatic: bool | None = None,
    by: User | None = None,
) -> Iteration:
    """A new iteration from the state that another one had before its step `at`, with another recipe, other parameters
    or another seed from there on. It shares all that was done before.

    Raises:
        InvalidSpecError: there is no such step, or something before it would differ.
        NotReadyError: something before it is not done yet.
    """
    source = locked(iteration)
    steps = steps_of(source)
    names = [step.name for step in steps]
    if at not in names:
        raise InvalidSpecError(f"{source} has no step named {at!r}: choose from {', '.join(names)}.")
    shared = steps[: names.index(at)]
    if waiting := [step.name for step in shared if step.state != StepState.DONE]:
        raise NotReadyError(
            f"{source} has not done {', '.join(waiting)} yet, which comes before {at}. Fork it at {waiting[0]}."
        )
    checked = checked_params(params or {})
    whole = _from(at, recipe_of(steps) if recipe is None else recipe, checked)
    _check_shared(source, shared, wired(whole))
    fork = Iteration.objects.create(
        number=next_number(),
        batch=source.batch,
        policy=source.policy,
        base=source.base,
        seed=source.seed if seed is None else seed,
        params={**source.params, **whole.params_by_kind()},
        recipe=whole.to_json(),
        automatic=source.automatic if automatic is None else automatic,
        source=source,
        source_step=at,
    )
    add_steps(fork, wired(whole), shared)
    _share(source, fork, shared)
    record("iteration.begun", fork, by=by, batch=source.batch.name, source=str(source), step=at)
    return fork


def _share(source: Iteration, fork: Iteration, shared: Sequence[IterationStep]) -> None:
    """Give the fork what the steps before it have made, and the stage that they reached."""
    if any(step.kind == StepKind.SNAPSHOT for step in shared):
        fork.snapshot = source.snapshot
    fork.state = stage_reached(steps_of(fork))
    fork.save(update_fields=["snapshot", "state"])
    for step in steps_of(fork)[: len(shared)]:
        if step.run is not None:
            keep_product(fork, step, step.run)


def recipe_of(steps: Sequence[IterationStep]) -> Recipe:
    """The recipe as it stands in the rows: a run that took the place of another one brought its own parameters."""
    return read_recipe(
        {
            "steps": [
                {
                    "kind": step.kind,
                    "name": step.name,
                    "params": step.params,
                    "policy": step.reads.get("policy", ""),
                    "targets": step.reads.get("targets", []),
                    "seed": step.seed,
                }
                for step in steps[2:]
            ]
        }
    )


def _from(at: str, recipe: Recipe, params: Params) -> Recipe:
    """The parameters hold from the step `at` on: what comes before is shared as it is."""
    names = [step.name for step in wired(recipe)][2:]
    first = names.index(at) if at in names else 0
    changed = recipe.with_params(params).steps[first:]
    return Recipe(steps=(*recipe.steps[:first], *changed))


def _check_shared(source: Iteration, shared: Sequence[IterationStep], new: Sequence[Wired]) -> None:
    for position, step in enumerate(shared):
        other = new[position] if position < len(new) else None
        same = other is not None and (step.name, step.kind, step.params, step.reads, step.seed) == (
            other.name,
            other.kind,
            dict(other.params),
            other.reads,
            other.seed,
        )
        if not same:
            raise InvalidSpecError(
                f"The recipe differs from that of {source} in {step.name}, which would be shared. Fork at {step.name}."
            )
