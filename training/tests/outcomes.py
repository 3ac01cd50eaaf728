"""Ends of runs that are made up: what a launcher would store, without a process."""

from __future__ import annotations

from typing import Any

from annotation.core.grades import Focus
from annotation.core.records import Message
from annotation.services.ingest import NewPair, NewResponse
from training.core.spec import RunKind
from training.core.states import IterationState, RunState
from training.models import Iteration, Run
from training.services import kinds, runs
from training.services.iterations import start_next


def succeed(run: Run) -> None:
    """End a run as its launcher would, with an outcome made up for its kind."""
    held = runs.claim_run(pk=run.pk)
    assert held is not None
    outcome = kinds.Outcome({"made": "up"}, _data(held))
    runs.end_run(
        run=held,
        state=RunState.SUCCEEDED,
        result=outcome.result,
        register=lambda: kinds.register(held, outcome),
    )


def _data(run: Run) -> Any:
    if run.kind == RunKind.TRAIN_REWARD_MODEL:
        return {"focus": run.params["focus"], "recipe": "probe", "metrics": {}}, "0" * 64
    if run.kind == RunKind.IMPORT_POLICY:
        return "2" * 64
    if run.kind == RunKind.FINETUNE:
        return {"adapter": True}, "1" * 64
    if run.kind == RunKind.REJECTION_SAMPLE:
        return {}
    if run.kind == RunKind.SAMPLE:
        sides = [NewResponse(text=text, policy="V1", run=str(run.uid)) for text in ("One.", "Two.")]
        question: tuple[Message, ...] = ({"role": "user", "content": "What is new?"},)
        return [NewPair(messages=question, focus=Focus.HELPFULNESS, first=sides[0], second=sides[1])]
    return None


def fail(run: Run) -> None:
    held = runs.claim_run(pk=run.pk)
    assert held is not None
    runs.end_run(run=held, state=RunState.FAILED, message="No pairs.")


def advance(iteration: Iteration, *, to: IterationState) -> None:
    while iteration.state != to:
        for run in start_next(iteration=iteration):
            succeed(run)
        iteration.refresh_from_db()
