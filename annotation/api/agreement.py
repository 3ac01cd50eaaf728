"""How far the people of a batch agree, chance taken off, with errors and intervals."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from annotation.access import batch_for
from annotation.api.kit import filters
from annotation.api.kit.filters import Filter, Number, Rows
from annotation.api.kit.schema import operation, problems
from annotation.api.kit.views import ApiView
from annotation.core.agreement.report import as_json
from annotation.core.grades import Focus
from annotation.core.scopes import Scope
from annotation.quality import CONFIDENCE, said_in, scales_of
from annotation.quality_figures import Scale, Trait

COEFFICIENT: Final[dict[str, Any]] = {
    "name": "gwet_ac2",
    "label": "Gwet's AC2, quadratic weights",
    "weights": "quadratic",
    "metric": None,
    "value": 0.71,
    "observed": 0.93,
    "expected": 0.76,
    "standard_error": 0.02,
    "low": 0.67,
    "high": 0.75,
    "p_value": 0.0,
    "why_none": "",
}
SCALE: Final[dict[str, Any]] = {
    "scale": "grade",
    "pairs": 4810,
    "pairs_with_two": 4600,
    "people": 31,
    "judgments": 9720,
    "categories": ["1", "2", "3", "4", "5", "6", "7", "8"],
    "notes": [],
    "coefficients": [COEFFICIENT],
}
EXAMPLE: Final[dict[str, Any]] = {"batch": 3, "focus": "helpfulness", "confidence": 0.95, "scales": [SCALE]}


class CoefficientSerializer(serializers.Serializer[Any]):
    """One measure. `low` and `high` bound it with the stated confidence; what cannot be worked out is null, and
    `why_none` says why."""

    name = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]  # DRF takes declared fields off the class
    weights = serializers.CharField(allow_null=True)
    metric = serializers.CharField(allow_null=True)
    value = serializers.FloatField(allow_null=True)
    observed = serializers.FloatField(allow_null=True, help_text="Agreement as it was.")
    expected = serializers.FloatField(allow_null=True, help_text="Agreement by chance.")
    standard_error = serializers.FloatField(allow_null=True)
    low = serializers.FloatField(allow_null=True)
    high = serializers.FloatField(allow_null=True)
    p_value = serializers.FloatField(allow_null=True)
    why_none = serializers.CharField(allow_blank=True)


class ScaleSerializer(serializers.Serializer[Any]):
    """What people said of a pair: the choice, the grade as eight steps from A to B, or which are safe."""

    scale = serializers.ChoiceField(choices=[str(scale) for scale in Scale])
    pairs = serializers.IntegerField()
    pairs_with_two = serializers.IntegerField(help_text="Pairs that two people or more judged.")
    people = serializers.IntegerField()
    judgments = serializers.IntegerField()
    categories = serializers.ListField(child=serializers.CharField())
    notes = serializers.ListField(child=serializers.CharField())
    coefficients = CoefficientSerializer(many=True)


class AgreementSerializer(serializers.Serializer[Any]):
    """The measures that docs/agreement.md describes."""

    batch = serializers.IntegerField()
    focus = serializers.ChoiceField(choices=[str(focus) for focus in Focus], allow_null=True)
    confidence = serializers.FloatField()
    scales = ScaleSerializer(many=True)


def _unchanged(rows: Rows, value: Any) -> Rows:
    return rows


class Agreement(ApiView):
    """Measure how far the people of a batch agree."""

    name = "agreement"
    reads = Scope.DATA_READ
    example = EXAMPLE
    parameters: ClassVar[dict[str, Filter]] = {
        "batch": Filter(apply=_unchanged, kind=Number(), description="Number of the batch.", required=True),
        "focus": filters.word("focus", Focus, "Only pairs that are judged for this."),
    }

    @operation("agreement_read", answer=AgreementSerializer, more=problems(404))
    def get(self, request: Request) -> Response:
        """Measure how far the people of a batch agree, over all judgments that count."""
        batch, focus = batch_for(self.person, self.given["batch"]), self.given.get("focus")
        said = said_in(batch)
        chosen = said.only({Trait.FOCUS: focus}) if focus else said
        scales = [
            {"scale": f.scale, **as_json(f.read, f.coefficients, CONFIDENCE)} for f in scales_of(chosen)
        ]
        answer = {
            "batch": batch.number,
            "focus": focus,
            "confidence": CONFIDENCE,
            "scales": [_scale(told) for told in scales],
        }
        return Response(AgreementSerializer(answer).data)


def _scale(told: dict[str, Any]) -> dict[str, Any]:
    return {
        "scale": told["scale"],
        "pairs": told["n_items"],
        "pairs_with_two": told["n_items_with_two"],
        "people": told["n_raters"],
        "judgments": told["n_ratings"],
        "categories": told["categories"],
        "notes": told["notes"],
        "coefficients": [_coefficient(one) for one in told["coefficients"]],
    }


def _coefficient(told: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": told["name"],
        "label": told["label"],
        "weights": told["weights"],
        "metric": told["metric"],
        "value": told["value"],
        "observed": told["pa"],
        "expected": told["pe"],
        "standard_error": told["se"],
        "low": told["ci_low"],
        "high": told["ci_high"],
        "p_value": told["p_value"],
        "why_none": told["why"] or "",
    }
