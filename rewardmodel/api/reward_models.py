"""Reward models: what each was trained on, how well it judges, and whether one answers at once."""

from __future__ import annotations

from typing import Any, Final

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from annotation.api.kit import filters
from annotation.api.kit.views import Collection, Item
from annotation.core.grades import Focus
from annotation.core.scopes import Scope
from annotation.errors import NotFoundError
from annotation.models import Snapshot
from rewardmodel.access import reward_models_for
from rewardmodel.core.spec import Recipe
from rewardmodel.models import RewardModelVersion
from rewardmodel.queries import with_scorers

EXAMPLE: Final = {
    "id": 3,
    "name": "helpfulness-V2",
    "focus": "helpfulness",
    "recipe": "lora",
    "backbone": "policy-V1",
    "snapshot": {"id": 7, "name": "week-01-to-02", "version": 1, "state": "ready", "sha256": "9f86…"},
    "metrics": {
        "accuracy": 0.64,
        "pairs": 412,
        "split": "test",
        "loss": 0.61,
        "length_baseline": 0.55,
        "by_grade": {
            "significantly_better": {"accuracy": 0.83, "pairs": 96},
            "negligibly_better": {"accuracy": 0.52, "pairs": 101},
        },
        "other_focus": {"accuracy": 0.51, "pairs": 380},
    },
    "sha256": "2c26…",
    "run": "6f1c0f3e-7b1d-4a55-9d0a-0f1f5a3a8c11",
    "resident": True,
    "created_at": "2026-03-09T06:12:40Z",
}


class SnapshotOfModel(serializers.ModelSerializer[Snapshot]):
    """The data that it learnt from."""

    class Meta:
        model = Snapshot
        fields = ["id", "name", "version", "state", "sha256"]
        read_only_fields = fields


@extend_schema_field({"type": "object", "additionalProperties": True})
class Figures(serializers.JSONField):
    """What training measured; the names are those of its manifest."""


class RewardModelSerializer(serializers.ModelSerializer[RewardModelVersion]):
    snapshot = SnapshotOfModel(read_only=True)
    metrics = Figures(
        read_only=True,
        help_text="On held-out pairs (split: test) or, where there were none, on those it learnt from: accuracy, loss, "
        "by_grade, length_baseline (how often the longer answer was chosen), other_focus.",
    )
    resident = serializers.BooleanField(
        read_only=True, help_text="A scorer holds it: score answers at once and starts no run."
    )

    class Meta:
        model = RewardModelVersion
        fields = [
            "id",
            "name",
            "focus",
            "recipe",
            "backbone",
            "snapshot",
            "metrics",
            "sha256",
            "run",
            "resident",
            "created_at",
        ]
        read_only_fields = fields


class RewardModels(Collection):
    """Reward models, the newest first."""

    name = "reward_models"
    reads = Scope.MODELS_READ
    serializer_class = RewardModelSerializer
    example = EXAMPLE
    filters = {
        "name": filters.text("name", "Exactly this name."),
        "focus": filters.word("focus", Focus, "What it judges."),
        "recipe": filters.word("recipe", Recipe, "How much of the backbone learnt."),
        "snapshot": filters.number("snapshot", "Trained on the snapshot with this id."),
        "since": filters.since("created_at", "Trained at this time or later."),
    }

    def rows(self) -> QuerySet[RewardModelVersion]:
        return with_scorers(reward_models_for(self.person)).select_related("snapshot")


class RewardModel(Item):
    """One reward model."""

    name = "reward_models"
    reads = Scope.MODELS_READ
    serializer_class = RewardModelSerializer
    example = EXAMPLE

    def row(self, **kwargs: Any) -> RewardModelVersion:
        rows = with_scorers(reward_models_for(self.person)).select_related("snapshot")
        version = rows.filter(pk=kwargs["pk"]).first()
        if version is None:
            raise NotFoundError("There is no such reward model. GET reward-models lists them.")
        return version
