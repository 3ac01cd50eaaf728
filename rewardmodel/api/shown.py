"""Reward models as the API shows them."""

from __future__ import annotations

from typing import Any, Final

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from annotation.models import Snapshot
from rewardmodel.models import Promotion, RewardModelVersion

PROMOTION: Final = {
    "version": {"id": 3, "name": "helpfulness-V2"},
    "how": "rule",
    "reason": "",
    "by": "rosa",
    "previous": {"id": 1, "name": "helpfulness-V1"},
    "created_at": "2026-03-09T06:12:41Z",
}
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
    "current": True,
    "promotion": PROMOTION,
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


class ModelName(serializers.ModelSerializer[RewardModelVersion]):
    """A reward model by its name."""

    class Meta:
        model = RewardModelVersion
        fields = ["id", "name"]
        read_only_fields = fields


class PromotionSerializer(serializers.ModelSerializer[Promotion]):
    """How a version became the current one of its focus."""

    version = ModelName(read_only=True)
    previous = ModelName(read_only=True, allow_null=True, help_text="What was current before.")
    by = serializers.CharField(
        source="by.username", default=None, read_only=True, allow_null=True, help_text="null: the house."
    )

    class Meta:
        model = Promotion
        fields = ["version", "how", "reason", "by", "previous", "created_at"]
        read_only_fields = fields


class RewardModelSerializer(serializers.ModelSerializer[RewardModelVersion]):
    snapshot = SnapshotOfModel(read_only=True)
    metrics = Figures(
        read_only=True,
        help_text="On held-out pairs (split: test) or, where there were none, on those it learnt from: accuracy, loss, "
        "by_grade, length_baseline (how often the longer answer was chosen), other_focus.",
    )
    current = serializers.BooleanField(
        read_only=True,
        help_text="It is the current one of its focus, which is used where nobody names another.",
    )
    promotion = serializers.SerializerMethodField(
        help_text="How it last became current; null: it never was. reward-models/{id}/promotion says why it waits."
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
            "current",
            "promotion",
            "created_at",
        ]
        read_only_fields = fields

    @extend_schema_field(PromotionSerializer(allow_null=True))
    def get_promotion(self, version: RewardModelVersion) -> dict[str, Any] | None:
        rows = version.promotions.all()  # fetched with the versions, the newest first
        return dict(PromotionSerializer(rows[0]).data) if rows else None
