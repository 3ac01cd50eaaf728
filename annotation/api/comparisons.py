"""Comparisons: two responses to one dialogue, to be judged under one focus. For researchers, so nothing is blind."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from django.db.models import QuerySet
from rest_framework import serializers

from annotation.access import comparison_for, comparisons_for
from annotation.api.dialogues import EXAMPLE as DIALOGUE
from annotation.api.dialogues import KEY, RESPONSE, MessageSerializer, ResponseSerializer
from annotation.api.kit import filters
from annotation.api.kit.filters import Filter, Flag, Number, Rows
from annotation.api.kit.views import Collection, Item
from annotation.browsing import comparisons_of_batch
from annotation.core.grades import Focus
from annotation.core.scopes import Scope
from annotation.core.states import ComparisonState
from annotation.models import Comparison

EXAMPLE: Final[dict[str, Any]] = {
    "key": "e4d909c290d0fb1ca068ffaddf22cbd0",
    "batch": 3,
    "focus": "helpfulness",
    "state": "complete",
    "language": "en",
    "dispute": 0,
    "attention_check": False,
    "prompt": DIALOGUE["prompt"],
    "dialogue": DIALOGUE["key"],
    "messages": DIALOGUE["messages"],
    "response_a": RESPONSE,
    "response_b": {**RESPONSE, "key": "900150983cd24fb0d6963f7d28e17f72", "policy": "V1"},
    "created_at": "2026-01-05T09:30:00Z",
}


class ComparisonSerializer(serializers.ModelSerializer[Comparison]):
    """`dispute` is how far apart its judgments are, in steps of the scale."""

    batch = serializers.IntegerField(source="batch.number", help_text="Number of its batch.")
    prompt = serializers.CharField(source="dialogue.prompt.key")
    dialogue = serializers.CharField(source="dialogue.key")
    messages = MessageSerializer(source="dialogue.messages", many=True)
    response_a = ResponseSerializer()
    response_b = ResponseSerializer()
    attention_check = serializers.SerializerMethodField(
        help_text="A pair whose answer is known; never exported."
    )

    class Meta:
        model = Comparison
        fields = list(EXAMPLE)

    def get_attention_check(self, row: Comparison) -> bool:
        return row.gold_id is not None


def checks(column: str) -> Filter:
    """Attention checks alone, or, as without it, none of them."""

    def apply(rows: Rows, value: bool) -> Rows:
        return rows.filter(**{f"{column}__isnull": not value})

    return Filter(
        apply=apply, kind=Flag(), description="Attention checks alone, or none of them.", default="false"
    )


def disputed(rows: Rows, value: bool) -> Rows:
    return rows.filter(dispute__gt=0) if value else rows.filter(dispute=0)


class Comparisons(Collection):
    """List comparisons, the newest first."""

    name = "comparisons"
    reads = Scope.DATA_READ
    serializer_class = ComparisonSerializer
    example = EXAMPLE
    filters: ClassVar[dict[str, Filter]] = {
        "batch": Filter(apply=comparisons_of_batch, kind=Number(), description="Number of the batch."),
        "focus": filters.word("focus", Focus, "What it is judged for."),
        "state": filters.word("state", ComparisonState, "Open, complete or withdrawn."),
        "language": filters.text("language", "Code of its prompt's language."),
        "prompt": filters.text("dialogue__prompt__key", "Key of its prompt.", pattern=KEY, meant="a key"),
        "disputed": Filter(apply=disputed, kind=Flag(), description="Whether its judgments differ."),
        "attention_check": checks("gold"),
    }

    def rows(self) -> QuerySet[Comparison]:
        return comparisons_for(self.person)


class OneComparison(Item):
    """Read one comparison."""

    name = "comparisons"
    reads = Scope.DATA_READ
    serializer_class = ComparisonSerializer
    example = EXAMPLE

    def row(self, **kwargs: Any) -> Comparison:
        return comparison_for(self.person, kwargs["key"])
