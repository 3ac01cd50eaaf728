"""Policy versions: what each stands on and where it came from. No key, address or path of a server leaves here."""

from __future__ import annotations

from typing import Any, Final, Literal

from django.db.models import QuerySet
from rest_framework import serializers

from annotation.api.kit import filters
from annotation.api.kit.filters import Filter, Word
from annotation.api.kit.views import Collection, Item
from annotation.core.scopes import Scope
from annotation.errors import NotFoundError
from training.access import policies_for
from training.core.specs.sampling import SampleSpec
from training.models import PolicyVersion

Kind = Literal["imported", "fine_tuned"]
EXAMPLE: Final = {
    "id": 5,
    "name": "policy-V2",
    "kind": "fine_tuned",
    "weights": "adapter",
    "parent": "V0",
    "adapter_on": "V0",
    "iteration": 2,
    "answers_live": False,
    "sampling": {"temperatures": [0.7, 1.0], "top_p": 1.0, "max_new_tokens": 128},
    "sha256": "2c26…",
    "run": "0b8f0f0e-66a4-4f6d-8a0a-95a8d0a4c0de",
    "created_at": "2026-03-09T09:40:11Z",
}


class Sampling(serializers.Serializer[Any]):
    """How a sample run draws from it unless told otherwise."""

    temperatures = serializers.ListField(child=serializers.FloatField())
    top_p = serializers.FloatField()
    max_new_tokens = serializers.IntegerField()


class PolicySerializer(serializers.ModelSerializer[PolicyVersion]):
    kind = serializers.SerializerMethodField(help_text="How it came to be: imported or fine_tuned.")
    weights = serializers.SerializerMethodField(
        help_text="whole, or adapter: low-rank changes of adapter_on."
    )
    parent = serializers.CharField(  # type: ignore[assignment]  # DRF takes declared fields off the class
        source="parent.name",
        default=None,
        read_only=True,
        allow_null=True,
        help_text="What it was made from.",
    )
    adapter_on = serializers.CharField(
        source="adapter_on.name",
        default=None,
        read_only=True,
        allow_null=True,
        help_text="Whose weights it changes.",
    )
    iteration = serializers.IntegerField(
        source="iteration.number",
        default=None,
        read_only=True,
        allow_null=True,
        help_text="Whose work it is.",
    )
    answers_live = serializers.SerializerMethodField(help_text="A response server answers for it.")
    sampling = serializers.SerializerMethodField()

    class Meta:
        model = PolicyVersion
        fields = [
            "id",
            "name",
            "kind",
            "weights",
            "parent",
            "adapter_on",
            "iteration",
            "answers_live",
            "sampling",
            "sha256",
            "run",
            "created_at",
        ]
        read_only_fields = fields

    def get_kind(self, policy: PolicyVersion) -> Kind:
        return "fine_tuned" if policy.parent_id else "imported"

    def get_weights(self, policy: PolicyVersion) -> Literal["whole", "adapter"]:
        return "adapter" if policy.adapter_on_id else "whole"

    def get_answers_live(self, policy: PolicyVersion) -> bool:
        return bool(policy.endpoint)

    def get_sampling(self, policy: PolicyVersion) -> Sampling:
        standard = SampleSpec()
        return Sampling(
            {
                "temperatures": list(standard.temperatures),
                "top_p": standard.top_p,
                "max_new_tokens": standard.max_new_tokens,
            }
        ).data  # type: ignore[return-value]  # the hint is the schema's


def _shown(rows: QuerySet[PolicyVersion]) -> QuerySet[PolicyVersion]:
    return rows.select_related("parent", "adapter_on", "iteration")


class Policies(Collection):
    """Policy versions, the newest first."""

    name = "policies"
    reads = Scope.MODELS_READ
    serializer_class = PolicySerializer
    example = EXAMPLE
    filters = {
        "name": filters.text("name", "Exactly this name."),
        "kind": Filter(
            apply=lambda rows, kind: rows.filter(parent__isnull=kind == "imported"),
            kind=Word(("imported", "fine_tuned")),
            description="How it came to be.",
        ),
        "iteration": filters.number("iteration__number", "Made by the iteration with this number."),
        "since": filters.since("created_at", "Registered at this time or later."),
    }

    def rows(self) -> QuerySet[PolicyVersion]:
        return _shown(policies_for(self.person))


class OnePolicy(Item):
    """One policy version."""

    name = "policies"
    reads = Scope.MODELS_READ
    serializer_class = PolicySerializer
    example = EXAMPLE

    def row(self, **kwargs: Any) -> PolicyVersion:
        policy = _shown(policies_for(self.person)).filter(pk=kwargs["pk"]).first()
        if policy is None:
            raise NotFoundError("There is no such policy. GET policies lists them.")
        return policy
