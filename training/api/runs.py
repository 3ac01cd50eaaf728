"""Runs: list, start, look at, cancel, retry."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.urls import reverse
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from annotation.api.kit import filters
from annotation.api.kit.bodies import well_formed
from annotation.api.kit.schema import operation
from annotation.api.kit.views import ApiView, Collection, Item
from annotation.core.scopes import Scope
from training.access import run_for, runs_for
from training.api.shown import EXAMPLE, WHOLE_EXAMPLE, RunSerializer, WholeRunSerializer
from training.api.starting import StartBody, read_start
from training.core.spec import RunKind
from training.core.states import RunState
from training.models import Run
from training.queries import runs_shown
from training.services.runs import cancel_run, retry_run


class Runs(Collection):
    """Runs, the newest first."""

    name = "runs"
    reads = Scope.MODELS_READ
    writes = Scope.RUNS_WRITE
    serializer_class = RunSerializer
    example = EXAMPLE
    filters = {
        "kind": filters.word("kind", RunKind, "What it does."),
        "state": filters.word("state", RunState, "Where it stands."),
        "iteration": filters.number("iteration__number", "Of the iteration with this number."),
        "since": filters.since("created_at", "Queued at this time or later."),
    }

    def rows(self) -> QuerySet[Run]:
        return runs_shown(runs_for(self.person))

    @operation(
        "runs_create",
        body=StartBody,
        body_example={
            "kind": "train_reward_model",
            "name": "helpfulness-week-2",
            "focus": "helpfulness",
            "snapshot": 7,
            "backbone": "policy-V1",
            "recipe": "lora",
        },
        answer=WholeRunSerializer,
        answer_example=WHOLE_EXAMPLE,
        status=201,
    )
    def create(self, request: Request) -> Response:
        """Start a run. It waits in the queue until a worker takes it; watch it at events."""
        body = read_start(request)
        with well_formed():
            run = body.start(self.person)
        return _shown(run, status.HTTP_201_CREATED)


class OneRun(Item):
    """One run, with what it was given, its metrics, its newest events and its result."""

    name = "runs"
    reads = Scope.MODELS_READ
    serializer_class = WholeRunSerializer
    example = WHOLE_EXAMPLE

    def row(self, **kwargs: Any) -> Run:
        return run_for(self.person, kwargs["uid"])


class Cancel(ApiView):
    """Ask a run to stop."""

    writes = Scope.RUNS_WRITE

    @operation("runs_cancel", answer=WholeRunSerializer, answer_example=WHOLE_EXAMPLE)
    def post(self, request: Request, uid: UUID) -> Response:
        """Ask a run to stop. One that waits is cancelled at once; one at work when its process has ended."""
        return _shown(cancel_run(run=run_for(self.person, uid), by=self.person))


class Retry(ApiView):
    """Queue a run again."""

    writes = Scope.RUNS_WRITE

    @operation("runs_retry", answer=WholeRunSerializer, answer_example=WHOLE_EXAMPLE)
    def post(self, request: Request, uid: UUID) -> Response:
        """Queue again a run that ended without success. It goes on from its last checkpoint."""
        return _shown(retry_run(run=run_for(self.person, uid), by=self.person))


def _shown(run: Run, code: int = status.HTTP_200_OK) -> Response:
    place = {"Location": reverse("training:run", args=(run.uid,))}
    return Response(WholeRunSerializer(run).data, status=code, headers=place if code == 201 else None)
