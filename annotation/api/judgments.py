"""Judgments that count: what people said, under their pseudonyms. No user name leaves by this door."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from django.db.models import QuerySet
from rest_framework import serializers

from annotation.access import judgment_for, judgments_for
from annotation.api.comparisons import EXAMPLE as COMPARISON
from annotation.api.comparisons import checks
from annotation.api.dialogues import KEY
from annotation.api.kit import filters
from annotation.api.kit.filters import Filter, Moment, Number
from annotation.api.kit.rows import GuidelineName
from annotation.api.kit.views import Collection, Item
from annotation.browsing import judged_since, judgments_of_batch
from annotation.core.grades import Focus, Grade, SafetyLabel
from annotation.core.scopes import Scope
from annotation.models import Judgment

EXAMPLE: Final[dict[str, Any]] = {
    "uid": "0b7c2a44-9a3c-4a57-9c62-3d7f0f6b8a11",
    "comparison": COMPARISON["key"],
    "batch": 3,
    "annotator": "annotator-1f2e3d4c5b",
    "focus": "helpfulness",
    "choice": "a",
    "grade": "significantly_better",
    "safety": "",
    "comment": "B never answers the question.",
    "left": "b",
    "guideline": {"focus": "helpfulness", "version": 2},
    "active_ms": 41250,
    "source": "person",
    "attention_check": False,
    "created_at": "2026-01-06T14:02:11Z",
}


class JudgmentSerializer(serializers.ModelSerializer[Judgment]):
    """`choice` is the response that was preferred, `left` the one that stood on the left; both are a or b."""

    comparison = serializers.CharField(source="comparison.key", help_text="Its key.")
    batch = serializers.IntegerField(source="comparison.batch.number")
    annotator = serializers.CharField(source="annotator.pseudonym", help_text="A pseudonym.")
    guideline = GuidelineName(allow_null=True)
    attention_check = serializers.SerializerMethodField()

    class Meta:
        model = Judgment
        fields = list(EXAMPLE)

    def get_attention_check(self, row: Judgment) -> bool:
        return row.comparison.gold_id is not None


class Judgments(Collection):
    """List judgments that count, the newest first. Who changes a judgment makes a further one; the last counts."""

    name = "judgments"
    reads = Scope.DATA_READ
    serializer_class = JudgmentSerializer
    example = EXAMPLE
    filters: ClassVar[dict[str, Filter]] = {
        "batch": Filter(apply=judgments_of_batch, kind=Number(), description="Number of the batch."),
        "comparison": filters.text("comparison__key", "Key of the pair.", pattern=KEY, meant="a key"),
        "annotator": filters.text("annotator__pseudonym", "Pseudonym of who judged."),
        "focus": filters.word("focus", Focus, "What was judged."),
        "grade": filters.word("grade", Grade, "How much better."),
        "safety": filters.word("safety", SafetyLabel, "Which are safe."),
        "source": filters.word("source", Judgment.Source, "Who or what made it."),
        "since": Filter(apply=judged_since, kind=Moment(), description="From this time on."),
        "attention_check": checks("comparison__gold"),
    }

    def rows(self) -> QuerySet[Judgment]:
        return judgments_for(self.person)


class OneJudgment(Item):
    """Read one judgment that counts."""

    name = "judgments"
    reads = Scope.DATA_READ
    serializer_class = JudgmentSerializer
    example = EXAMPLE

    def row(self, **kwargs: Any) -> Judgment:
        return judgment_for(self.person, kwargs["uid"])
