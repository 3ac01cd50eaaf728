"""Turns of the loop: where each stands, and what it has made."""

from __future__ import annotations

from typing import Any, Final

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from annotation.api.kit import filters
from annotation.api.kit.views import Collection, Item
from annotation.core.scopes import Scope
from annotation.errors import NotFoundError
from annotation.models import Batch, Snapshot
from rewardmodel.models import RewardModelVersion
from training.access import iterations_for
from training.api.shown import ANYTHING
from training.core.states import IterationState
from training.models import Iteration, PolicyVersion
from training.services.iterations import next_action

EXAMPLE: Final = {
    "id": 2,
    "number": 2,
    "name": "V2",
    "state": "rewarded",
    "next": "Sample and select",
    "batch": {"number": 2, "state": "sealed"},
    "snapshot": {"id": 7, "name": "week-01-to-02", "version": 1, "state": "ready"},
    "helpfulness": {"id": 3, "name": "helpfulness-V2"},
    "safety": {"id": 4, "name": "safety-V2"},
    "policy": {"id": 4, "name": "policy-V1"},
    "base": {"id": 1, "name": "V0"},
    "tuned": None,
    "next_batch": None,
    "seed": 0,
    "params": {"rejection_sample": {"samples_per_prompt": 4}},
    "created_at": "2026-03-02T08:00:00Z",
}


class BatchOfIteration(serializers.ModelSerializer[Batch]):
    class Meta:
        model = Batch
        fields = ["number", "state"]
        read_only_fields = fields


class SnapshotOfIteration(serializers.ModelSerializer[Snapshot]):
    class Meta:
        model = Snapshot
        fields = ["id", "name", "version", "state"]
        read_only_fields = fields


class NamedModel(serializers.ModelSerializer[RewardModelVersion]):
    class Meta:
        model = RewardModelVersion
        fields = ["id", "name"]
        read_only_fields = fields


class NamedPolicy(serializers.ModelSerializer[PolicyVersion]):
    class Meta:
        model = PolicyVersion
        fields = ["id", "name"]
        read_only_fields = fields


class IterationSerializer(serializers.ModelSerializer[Iteration]):
    name = serializers.CharField(source="__str__", read_only=True)
    next = serializers.SerializerMethodField(help_text="What comes next; empty when it is complete.")
    batch = BatchOfIteration(read_only=True)
    snapshot = SnapshotOfIteration(read_only=True, allow_null=True)
    helpfulness = NamedModel(read_only=True, allow_null=True)
    safety = NamedModel(read_only=True, allow_null=True)
    policy = NamedPolicy(read_only=True, help_text="The newest policy when the week began.")
    base = NamedPolicy(read_only=True, help_text="Where fine-tuning starts.")
    tuned = NamedPolicy(read_only=True, allow_null=True, help_text="The policy that it made.")
    next_batch = BatchOfIteration(read_only=True, allow_null=True)
    params = extend_schema_field(ANYTHING)(serializers.JSONField)(
        read_only=True, help_text="Parameters by kind of run, where they are not the usual."
    )

    class Meta:
        model = Iteration
        fields = [
            "id",
            "number",
            "name",
            "state",
            "next",
            "batch",
            "snapshot",
            "helpfulness",
            "safety",
            "policy",
            "base",
            "tuned",
            "next_batch",
            "seed",
            "params",
            "created_at",
        ]
        read_only_fields = fields

    def get_next(self, iteration: Iteration) -> str:
        return next_action(iteration)


def _shown(rows: QuerySet[Iteration]) -> QuerySet[Iteration]:
    made = ("snapshot", "helpfulness", "safety", "tuned", "next_batch")
    return rows.select_related("batch", "policy", "base", *made).prefetch_related("steps")


class Iterations(Collection):
    """Iterations, the newest first."""

    name = "iterations"
    reads = Scope.MODELS_READ
    serializer_class = IterationSerializer
    example = EXAMPLE
    filters = {
        "state": filters.word("state", IterationState, "Where it stands."),
        "number": filters.number("number", "The one with this number."),
        "since": filters.since("created_at", "Begun at this time or later."),
    }

    def rows(self) -> QuerySet[Iteration]:
        return _shown(iterations_for(self.person))


class OneIteration(Item):
    """One iteration."""

    name = "iterations"
    reads = Scope.MODELS_READ
    serializer_class = IterationSerializer
    example = EXAMPLE

    def row(self, **kwargs: Any) -> Iteration:
        iteration = _shown(iterations_for(self.person)).filter(pk=kwargs["pk"]).first()
        if iteration is None:
            raise NotFoundError("There is no such iteration. GET iterations lists them.")
        return iteration
