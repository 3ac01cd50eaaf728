"""Runs as the API shows them: short in lists, whole at their own address."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from training import overview
from training.models import Run, RunEvent
from training.queries import named_inputs

NEWEST_EVENTS: Final = 20
ANYTHING: Final = {"type": "object", "additionalProperties": True}
EXAMPLE: Final[Mapping[str, Any]] = {
    "uid": "6f1c0f3e-7b1d-4a55-9d0a-0f1f5a3a8c11",
    "kind": "train_reward_model",
    "state": "running",
    "name": "helpfulness-V2",
    "iteration": 2,
    "created_by": "rosa",
    "attempt": 1,
    "stage": "encode",
    "done": 120,
    "total": 480,
    "unit": "pairs",
    "percent": 25,
    "message": "",
    "created_at": "2026-03-09T06:10:00Z",
    "started_at": "2026-03-09T06:10:01Z",
    "ended_at": None,
}
WHOLE_EXAMPLE: Final[Mapping[str, Any]] = {
    **EXAMPLE,
    "seed": 0,
    "params": {"focus": "helpfulness", "recipe": "probe", "margin_table": "small"},
    "inputs": {"name": "helpfulness-V2", "snapshot": 7, "backbone": "policy-V1"},
    "seconds_left": 41.5,
    "metrics": {"pairs_per_second": {"value": 12.5, "step": 120}},
    "events": [
        {"id": 902, "at": "2026-03-09T06:10:01Z", "type": "stage", "data": {"name": "encode"}},
    ],
    "result": {},
}


class RunSerializer(serializers.ModelSerializer[Run]):
    """A run in a list."""

    name = serializers.SerializerMethodField(help_text="Of what it makes; empty where that has no name.")
    iteration = serializers.IntegerField(
        source="iteration.number", default=None, read_only=True, allow_null=True, help_text="Number; V2 is 2."
    )
    created_by = serializers.CharField(
        source="created_by.username",
        default=None,
        read_only=True,
        allow_null=True,
        help_text="null: the house.",
    )
    percent = serializers.IntegerField(
        read_only=True, allow_null=True, help_text="Of the stage at work; null while nothing is known."
    )

    class Meta:
        model = Run
        fields = [
            "uid",
            "kind",
            "state",
            "name",
            "iteration",
            "created_by",
            "attempt",
            "stage",
            "done",
            "total",
            "unit",
            "percent",
            "message",
            "created_at",
            "started_at",
            "ended_at",
        ]
        read_only_fields = fields

    def get_name(self, run: Run) -> str:
        made = getattr(run, "made", None) if hasattr(run, "made") else run.inputs.get("name")
        return made or ""


class EventSerializer(serializers.ModelSerializer[RunEvent]):
    """One thing that happened to a run."""

    class Meta:
        model = RunEvent
        fields = ["id", "at", "type", "data"]
        read_only_fields = fields


class WholeRunSerializer(RunSerializer):
    """A run with what it was given, what it says and what it made."""

    params = extend_schema_field(ANYTHING)(serializers.JSONField)(read_only=True)
    result = extend_schema_field(ANYTHING)(serializers.JSONField)(
        read_only=True, help_text="What its process found; of a score run reward_model and rewards."
    )
    inputs = serializers.SerializerMethodField(help_text="What it works on, by the names that start it.")
    seconds_left = serializers.SerializerMethodField(help_text="Of the stage at work, at its present rate.")
    metrics = serializers.SerializerMethodField(
        help_text="The last value of each, and the step it belongs to."
    )
    events = serializers.SerializerMethodField(
        help_text=f"The newest {NEWEST_EVENTS} but metrics; all of them come from events."
    )

    class Meta(RunSerializer.Meta):
        fields = [
            *RunSerializer.Meta.fields,
            "seed",
            "params",
            "inputs",
            "seconds_left",
            "metrics",
            "events",
            "result",
        ]
        read_only_fields = fields

    @extend_schema_field(ANYTHING)
    def get_inputs(self, run: Run) -> dict[str, Any]:
        return named_inputs(run)

    def get_seconds_left(self, run: Run) -> float | None:
        left = overview.time_left(run)
        return None if left is None else left.total_seconds()

    @extend_schema_field(ANYTHING)
    def get_metrics(self, run: Run) -> dict[str, dict[str, float]]:
        return {one.name: {"value": one.last, "step": one.step} for one in overview.metrics_of(run)}

    @extend_schema_field(EventSerializer(many=True))
    def get_events(self, run: Run) -> list[dict[str, Any]]:
        newest = overview.events_of(run)[-NEWEST_EVENTS:]
        return [dict(EventSerializer(event).data) for event in newest]
