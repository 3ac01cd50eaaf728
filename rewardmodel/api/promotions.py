"""Which reward model is current: how one stands against it, promoting one, and going back."""

from __future__ import annotations

from typing import Annotated, Any, Final

from drf_spectacular.utils import extend_schema_field
from pydantic import BeforeValidator, Field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from annotation.api.bodies import Body, without_nul
from annotation.api.kit.bodies import read, well_formed
from annotation.api.kit.schema import operation
from annotation.api.kit.views import ApiView, Item
from annotation.core.scopes import Scope
from rewardmodel.access import reward_model_for
from rewardmodel.api.shown import EXAMPLE, PROMOTION, ModelName, PromotionSerializer, RewardModelSerializer
from rewardmodel.core.promotion import Finding
from rewardmodel.models import RewardModelVersion
from rewardmodel.queries import shown_version
from rewardmodel.services import override_promotion, promote_reward_model, roll_back_promotion
from rewardmodel.services.promotions import LONGEST_REASON
from rewardmodel.standing import Standing, promotions_of, standing_of

Reason = Annotated[str, BeforeValidator(without_nul), Field(max_length=LONGEST_REASON)]
STANDING: Final = {
    "current": False,
    "against": {"id": 1, "name": "helpfulness-V1"},
    "passes": True,
    "sentence": "It is not worse, beyond the interval, in any grade. It can take the place of helpfulness-V1.",
    "compared_by": "training",
    "snapshot": "week-01-to-02",
    "grades": [
        {
            "grade": "significantly better",
            "pairs": 96,
            "prompts": 90,
            "candidate": 0.83,
            "current": 0.81,
            "difference": 0.02,
            "low": -0.05,
            "high": 0.09,
            "finding": "not_worse",
            "sentence": "Not worse: the interval holds 0.",
        }
    ],
    "history": [
        {
            **PROMOTION,
            "version": {"id": 1, "name": "helpfulness-V1"},
            "how": "first",
            "by": None,
            "previous": None,
        }
    ],
}


class ComparedGradeSerializer(serializers.Serializer[Any]):
    """One grade of the comparison; the last one is over all grades."""

    grade = serializers.CharField(source="name")
    pairs = serializers.IntegerField()
    prompts = serializers.IntegerField()
    candidate = serializers.FloatField(allow_null=True, help_text="Accuracy of this version.")
    current = serializers.FloatField(allow_null=True, help_text="Accuracy of the other one.")
    difference = serializers.FloatField(allow_null=True)
    low = serializers.FloatField(allow_null=True, help_text="Lower end of the difference's 95 % interval.")
    high = serializers.FloatField(allow_null=True, help_text="Upper end of it.")
    finding = serializers.ChoiceField(choices=[(one.value, one.value) for one in Finding])
    sentence = serializers.CharField()


class RewardModelStandingSerializer(serializers.Serializer[Standing]):
    """Where a version stands against the current one of its focus."""

    current = serializers.BooleanField(source="is_current", help_text="It is the current one.")
    against = ModelName(
        source="rival",
        allow_null=True,
        help_text="The current one, or of the current one what it replaced; null: none.",
    )
    passes = serializers.BooleanField(help_text="POST without override would promote it.")
    sentence = serializers.CharField(help_text="Where it stands, why, and what to do.")
    compared_by = serializers.CharField(
        source="source", help_text="training or comparison; empty: the two were not compared."
    )
    snapshot = serializers.CharField(help_text="On whose test pairs; empty: the two were not compared.")
    grades = serializers.SerializerMethodField()
    history = serializers.SerializerMethodField(help_text="Promotions of this focus, the newest first.")

    @extend_schema_field(ComparedGradeSerializer(many=True))
    def get_grades(self, standing: Standing) -> list[dict[str, Any]]:
        verdict = standing.verdict
        return [dict(ComparedGradeSerializer(row).data) for row in verdict.rows] if verdict else []

    @extend_schema_field(PromotionSerializer(many=True))
    def get_history(self, standing: Standing) -> list[dict[str, Any]]:
        return [dict(PromotionSerializer(one).data) for one in promotions_of(standing.version.focus)]


class PromotionBody(Body):
    """Whether to promote against the rule, and why."""

    override: Annotated[bool, Field(description="Promote although the rule says no; wants a reason.")] = False
    reason: Annotated[Reason, Field(description="Kept with the promotion. Name no person in it.")] = ""


class OneStanding(Item):
    """Where a reward model stands: what the figures say against the current one, grade by grade, and why it waits."""

    name = "reward_models_promotion"
    reads = Scope.MODELS_READ
    writes = Scope.RUNS_WRITE
    serializer_class = RewardModelStandingSerializer
    example = STANDING

    def row(self, **kwargs: Any) -> Standing:
        return standing_of(reward_model_for(self.person, kwargs["pk"]))

    @operation(
        "reward_models_promote",
        body=PromotionBody,
        body_example={"override": True, "reason": "It reads the new weeks' long dialogues better."},
        answer=RewardModelSerializer,
        answer_example=EXAMPLE,
    )
    def post(self, request: Request, pk: int) -> Response:
        """Make a reward model the current one of its focus. 409 with the reason where the rule says no; with `override`
        and a `reason` it is promoted all the same."""
        body = read(request, PromotionBody)
        version = reward_model_for(self.person, pk)
        with well_formed():
            if body.override:
                override_promotion(version=version, reason=body.reason, by=self.person)
            else:
                promote_reward_model(version=version, reason=body.reason, by=self.person)
        return _shown(version)


class RollBack(ApiView):
    """Go back to the reward model that was current before."""

    name = "reward_models"
    writes = Scope.RUNS_WRITE

    @operation("reward_models_roll_back", answer=RewardModelSerializer, answer_example=EXAMPLE)
    def post(self, request: Request, pk: int) -> Response:
        """Take back the promotion of the current reward model, which the address names; the answer is the one that is
        current again. 409 where another one is current by now, or none was before. Takes no body."""
        version = reward_model_for(self.person, pk)
        return _shown(roll_back_promotion(version=version, by=self.person).version)


def _shown(version: RewardModelVersion) -> Response:
    return Response(RewardModelSerializer(shown_version(version.pk)).data)
