"""Dialogues: conversations that wait for an answer, and the answers that they were given."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from django.db.models import QuerySet
from rest_framework import serializers

from annotation.access import dialogue_for, dialogues_for
from annotation.api.kit import filters
from annotation.api.kit.filters import Filter
from annotation.api.kit.views import Collection, Item
from annotation.core.grades import Focus
from annotation.core.scopes import Scope
from annotation.models import Dialogue, Prompt, Response

KEY: Final = r"[0-9a-f]{32}"
RESPONSE: Final = {
    "key": "7d793037a0760186574b0282f2f435e7",
    "text": "Because the universe is not infinitely old: …",
    "policy": "V2",
    "temperature": 0.8,
    "top_p": 1.0,
    "seed": 17,
    "tokens": 112,
    "latency_ms": 2310,
    "finish_reason": "stop",
    "run": "",
}
EXAMPLE: Final[dict[str, Any]] = {
    "key": "9e107d9d372bb6826bd81d3542a419d6",
    "prompt": "5d41402abc4b2a76b9719d911017c592",
    "parent": None,
    "turns": 1,
    "messages": [{"role": "user", "content": "Why is the sky dark at night?"}],
    "created_at": "2026-01-05T09:30:00Z",
}


class MessageSerializer(serializers.Serializer[Any]):
    """One turn."""

    role = serializers.ChoiceField(choices=["system", "user", "assistant"])
    content = serializers.CharField()


class ResponseSerializer(serializers.ModelSerializer[Response]):
    """One answer, with where it came from."""

    class Meta:
        model = Response
        fields = list(RESPONSE)


class DialogueSerializer(serializers.ModelSerializer[Dialogue]):
    """`messages` end with a user's turn; `prompt` and `parent` are keys."""

    prompt: serializers.SlugRelatedField[Prompt] = serializers.SlugRelatedField(
        slug_field="key", read_only=True
    )
    parent: serializers.SlugRelatedField[Dialogue] = serializers.SlugRelatedField(  # type: ignore[assignment]
        slug_field="key", read_only=True, allow_null=True
    )
    messages = MessageSerializer(many=True)

    class Meta:
        model = Dialogue
        fields = list(EXAMPLE)


class AnsweredDialogueSerializer(DialogueSerializer):
    """A dialogue with its responses."""

    responses = ResponseSerializer(many=True)

    class Meta(DialogueSerializer.Meta):
        fields = [*EXAMPLE, "responses"]


class Dialogues(Collection):
    """List dialogues, the newest first."""

    name = "dialogues"
    reads = Scope.DATA_READ
    serializer_class = DialogueSerializer
    example = EXAMPLE
    filters: ClassVar[dict[str, Filter]] = {
        "prompt": filters.text(
            "prompt__key", "Key of its prompt.", pattern=KEY, meant="a key: 32 hex digits"
        ),
        "focus": filters.word("prompt__focus", Focus, "Focus of its prompt."),
        "turns": filters.number("turns", "User turns."),
    }

    def rows(self) -> QuerySet[Dialogue]:
        return dialogues_for(self.person)


class OneDialogue(Item):
    """Read one dialogue, with the responses to it."""

    name = "dialogues"
    reads = Scope.DATA_READ
    serializer_class = AnsweredDialogueSerializer
    example = {**EXAMPLE, "responses": [RESPONSE]}

    def row(self, **kwargs: Any) -> Dialogue:
        return dialogue_for(self.person, kwargs["key"])
