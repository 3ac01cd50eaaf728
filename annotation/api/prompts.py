"""Prompts: what dialogues begin with. Listed, read, added to the pool."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Final

from django.db.models import QuerySet
from pydantic import Field
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from annotation.access import prompt_for, prompts_for
from annotation.api.bodies import SOME, Body
from annotation.api.kit import filters
from annotation.api.kit.bodies import read
from annotation.api.kit.filters import Filter
from annotation.api.kit.schema import operation
from annotation.api.kit.views import Collection, Item
from annotation.core.categories import AttackStyle, RiskCategory
from annotation.core.formats.prompts import (
    LANGUAGE,
    LONGEST,
    MAX_LABEL,
    MAX_LANGUAGE,
    MOST_TURNS,
    ImportedPrompt,
)
from annotation.core.grades import Focus
from annotation.core.records import prompt_key
from annotation.core.scopes import Scope
from annotation.models import Prompt
from annotation.services.prompts import PromptReport, import_prompts

MOST: Final = 1_000  # prompts of one request
BODY: Final = 32 * 1024 * 1024  # bytes
EXAMPLE: Final = {
    "key": "5d41402abc4b2a76b9719d911017c592",
    "text": "Why is the sky dark at night?",
    "focus": "helpfulness",
    "source": "house",
    "category": "astronomy",
    "risk": "",
    "attack": "",
    "language": "en",
    "licence": "CC-BY-4.0",
    "turns": 1,
    "difficulty": 0.31,
    "in_pool": True,
    "split": "train",
    "cluster": None,
    "created_at": "2026-01-05T09:30:00Z",
}
Label = Annotated[str, Field(max_length=MAX_LABEL)]


class PromptSerializer(serializers.ModelSerializer[Prompt]):
    """`split` is empty until its batch is sealed; `cluster` is the key of the prompt that it is a near-duplicate of."""

    cluster: serializers.SlugRelatedField[Prompt] = serializers.SlugRelatedField(
        slug_field="key", read_only=True, allow_null=True
    )

    class Meta:
        model = Prompt
        fields = list(EXAMPLE)


class NewPromptBody(Body):
    """One prompt for the pool."""

    text: Annotated[str, Field(min_length=1, max_length=LONGEST, pattern=SOME)]
    focus: Focus
    category: Label = ""
    risk: RiskCategory | None = None
    attack: AttackStyle | None = None
    language: Annotated[str, Field(max_length=MAX_LANGUAGE, pattern=rf"^({LANGUAGE.pattern})?$")] = ""
    turns: Annotated[int, Field(ge=1, le=MOST_TURNS)] = 1
    source: Annotated[str, Field(max_length=200)] = ""
    licence: Label = ""
    difficulty: Annotated[float, Field(ge=0, le=1)] | None = None


class NewPromptsBody(Body):
    """All of them, or none."""

    prompts: Annotated[list[NewPromptBody], Field(min_length=1, max_length=MOST)]


class ResemblanceSerializer(serializers.Serializer[Any]):
    text = serializers.CharField()
    other = serializers.CharField(help_text="A prompt that the pool has.")
    similarity = serializers.FloatField()


class AddedSerializer(serializers.Serializer[Any]):
    """What became of them. `keys` are in the order of the request."""

    keys = serializers.ListField(child=serializers.CharField())
    new = serializers.IntegerField()
    joined = serializers.IntegerField(help_text="Stored before, and now in the pool.")
    already = serializers.IntegerField(help_text="In the pool before.")
    repeated = serializers.IntegerField(help_text="Again within the request.")
    near = ResemblanceSerializer(many=True, help_text="New ones that resemble others.")


class Prompts(Collection):
    """List prompts, the newest first."""

    name = "prompts"
    reads, writes = Scope.DATA_READ, Scope.DATA_WRITE
    serializer_class = PromptSerializer
    example = EXAMPLE
    filters: ClassVar[dict[str, Filter]] = {
        "focus": filters.word("focus", Focus, "What it is judged for."),
        "language": filters.text("language", "Code of its language, such as en."),
        "category": filters.text("category", "Its topic."),
        "risk": filters.word("risk", RiskCategory, "Risk category of an adversarial prompt."),
        "attack": filters.word("attack", AttackStyle, "Attack style of an adversarial prompt."),
        "split": filters.word("split", Prompt.Split, "Side of the hold-out; given at sealing."),
        "in_pool": filters.flag("in_pool", "Whether it may be drawn for new dialogues."),
        "source": filters.text("source", "Where it comes from."),
    }

    def rows(self) -> QuerySet[Prompt]:
        return prompts_for(self.person)

    @operation(
        body=NewPromptsBody,
        body_example={"prompts": [{"text": "Why is the sky dark at night?", "focus": "helpfulness"}]},
        answer=AddedSerializer,
        answer_example={
            "keys": [EXAMPLE["key"]],
            "new": 1,
            "joined": 0,
            "already": 0,
            "repeated": 0,
            "near": [],
        },
        status=201,
    )
    def create(self, request: Request) -> Response:
        """Add up to 1,000 prompts to the pool: all of them, or none."""
        given = read(request, NewPromptsBody, limit=BODY).prompts
        items = [_item(number, prompt) for number, prompt in enumerate(given, start=1)]
        report = import_prompts(items=items, name="API", by=self.person)
        return Response(AddedSerializer(_added(items, report)).data, status=status.HTTP_201_CREATED)


class OnePrompt(Item):
    """Read one prompt."""

    name = "prompts"
    reads = Scope.DATA_READ
    serializer_class = PromptSerializer
    example = EXAMPLE

    def row(self, **kwargs: Any) -> Prompt:
        return prompt_for(self.person, kwargs["key"])


def _item(number: int, prompt: NewPromptBody) -> ImportedPrompt:
    return ImportedPrompt(line=number, **dict(prompt))


def _added(items: list[ImportedPrompt], report: PromptReport) -> dict[str, Any]:
    return {
        "keys": [prompt_key(item.text) for item in items],
        "new": report.new,
        "joined": report.joined,
        "already": report.already,
        "repeated": report.repeated,
        "near": report.near,
    }
