"""What lies behind a policy, and what a judgment has shaped."""

from __future__ import annotations

from typing import Any, Final

from django.db.models import QuerySet
from rest_framework import serializers

from annotation.access import judgment_for, judgments_for
from annotation.api.judgments import EXAMPLE as JUDGMENT
from annotation.api.judgments import JudgmentSerializer
from annotation.api.kit.views import Collection, Item
from annotation.core.scopes import Scope
from annotation.errors import NotFoundError
from annotation.models import Judgment
from training.access import policies_for
from training.lineage import Lineage, judgment_lineage, judgments_behind, policy_lineage
from training.models import PolicyVersion

EXAMPLE: Final[dict[str, Any]] = {
    "runs": [{"uid": "0b8f0f0e-66a4-4f6d-8a0a-95a8d0a4c0de", "kind": "finetune", "name": "policy-V2"}],
    "policies": [{"id": 1, "name": "V0"}],
    "reward_models": [{"id": 3, "name": "helpfulness-V2"}],
    "snapshots": [{"id": 7, "name": "week-01-to-02"}],
    "batches": [{"number": 1, "name": "Week 1"}],
    "judgments": 4213,
}


class LineageRun(serializers.Serializer[Any]):
    uid = serializers.CharField()
    kind = serializers.CharField()
    name = serializers.CharField(help_text="Of what it made; empty where that has no name.")


class LineageItem(serializers.Serializer[Any]):
    id = serializers.IntegerField(source="pk")
    name = serializers.CharField()


class LineageBatch(serializers.Serializer[Any]):
    number = serializers.IntegerField(source="pk")
    name = serializers.CharField()


class LineageSerializer(serializers.Serializer[Lineage]):
    """The oldest of each kind first."""

    runs = LineageRun(many=True)
    policies = LineageItem(many=True)
    reward_models = LineageItem(many=True)
    snapshots = LineageItem(many=True)
    batches = LineageBatch(many=True)
    judgments = serializers.IntegerField(
        help_text="How many judgments the snapshots hold; of a judgment 1 where one of them holds it, else 0."
    )


class PolicyLineage(Item):
    """What lies behind a policy: every run, policy, reward model, snapshot and batch, and how many judgments."""

    name = "policies_lineage"
    reads = Scope.MODELS_READ
    serializer_class = LineageSerializer
    example = EXAMPLE

    def row(self, **kwargs: Any) -> Lineage:
        return policy_lineage(_policy(self, kwargs["pk"]))


class PolicyJudgments(Collection):
    """The judgments behind a policy, the newest first."""

    name = "policies_judgments"
    reads = Scope.DATA_READ
    serializer_class = JudgmentSerializer
    example = JUDGMENT

    def rows(self) -> QuerySet[Judgment]:
        behind = judgments_behind(_policy(self, self.kwargs["pk"]))
        return judgments_for(self.person).filter(pk__in=behind.values("pk"))


class JudgmentLineage(Item):
    """What a judgment has shaped: the snapshots that hold it, and all that was made of them."""

    name = "judgments_lineage"
    reads = Scope.MODELS_READ
    serializer_class = LineageSerializer
    example = {**EXAMPLE, "judgments": 1}

    def row(self, **kwargs: Any) -> Lineage:
        return judgment_lineage(judgment_for(self.person, kwargs["uid"]))


def _policy(view: Item | Collection, pk: int) -> PolicyVersion:
    policy = policies_for(view.person).filter(pk=pk).first()
    if policy is None:
        raise NotFoundError("There is no such policy. GET policies lists them.")
    return policy
