"""Dialogues, responses, comparisons, judgments: to look at. They come in through services alone."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import F, Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from unfold.decorators import display

from annotation.admin.base import RoleAdmin
from annotation.core.records import Message
from annotation.models import Comparison, Dialogue, Judgment, Response
from annotation.overview import with_judgment_counts
from annotation.templatetags.panel import brief, dot, moment

EXCERPT = 90  # characters


def excerpt(text: str) -> str:
    return Truncator(" ".join(text.split())).chars(EXCERPT)


def prose(text: str) -> SafeString:
    """Text as it was written: line ends kept, markup shown and not followed."""
    return format_html('<div class="m-prose">{}</div>', text)


def turns(messages: list[Message]) -> SafeString:
    return format_html_join(
        "",
        '<div class="m-turn"><b>{}</b><div class="m-prose">{}</div></div>',
        ((message["role"], message["content"]) for message in messages),
    )


class NamesItsModel(admin.SimpleListFilter):
    """Rows whose answer gives its model away, or the others."""

    title = "names its model"
    parameter_name = "leak"
    fields: tuple[str, ...] = ("leak",)

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "Yes"), ("no", "No")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        silent = Q(**dict.fromkeys(self.fields, ""))
        match self.value():
            case "yes":
                return queryset.exclude(silent)
            case "no":
                return queryset.filter(silent)
        return queryset


class EitherNamesItsModel(NamesItsModel):
    fields = ("response_a__leak", "response_b__leak")


class IsCheck(admin.SimpleListFilter):
    title = "attention check"
    parameter_name = "check"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "Yes"), ("no", "No")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(gold__isnull=self.value() == "no") if self.value() else queryset


@admin.register(Dialogue)
class DialogueAdmin(RoleAdmin):
    list_display = ("beginning", "turns", "added")
    list_filter = ("turns",)
    search_fields = ("prompt__text", "key")
    list_select_related = ("prompt",)
    fields = ("whole", "turns", "prompt", "parent", "key", "created_at")
    readonly_fields = ("whole", "key")
    ordering = ("-pk",)

    @display(description="Dialogue")
    def beginning(self, dialogue: Dialogue) -> str:
        return excerpt(dialogue.prompt.text)

    @display(description="Dialogue")
    def whole(self, dialogue: Dialogue) -> SafeString:
        return turns(dialogue.messages)

    @display(description="Added", ordering="created_at")
    def added(self, dialogue: Dialogue) -> SafeString | str:
        return moment(dialogue.created_at)


@admin.register(Response)
class ResponseAdmin(RoleAdmin):
    list_display = ("beginning", "policy", "temperature", "tokens", "finish_reason", "leaked", "added")
    list_filter = (NamesItsModel, "policy", "finish_reason")
    search_fields = ("text", "key", "run")
    fields = (
        "whole",
        "dialogue",
        "policy",
        "temperature",
        "top_p",
        "seed",
        "tokens",
        "latency_ms",
        "finish_reason",
        "leak",
        "run",
        "key",
        "created_at",
    )
    readonly_fields = ("whole", "key")
    ordering = ("-pk",)

    @display(description="Response")
    def beginning(self, response: Response) -> str:
        return excerpt(response.text)

    @display(description="Response")
    def whole(self, response: Response) -> SafeString:
        return prose(response.text)

    @display(description="Names its model", ordering="leak")
    def leaked(self, response: Response) -> str:
        return excerpt(response.leak) or "—"

    @display(description="Added", ordering="created_at")
    def added(self, response: Response) -> SafeString | str:
        return moment(response.created_at)


@admin.register(Comparison)
class ComparisonAdmin(RoleAdmin):
    list_display = ("short_key", "asked", "batch", "focus", "dotted", "judgments_n", "leaked")
    list_filter = ("batch", "focus", "state", IsCheck, EitherNamesItsModel)
    search_fields = ("key", "dialogue__prompt__text")
    list_select_related = ("batch", "dialogue__prompt")
    fields = ("whole", "first", "second", "batch", "focus", "state", "attention_check", "key", "created_at")
    readonly_fields = ("whole", "first", "second", "attention_check", "key")
    ordering = ("-pk",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Comparison]:
        rows = with_judgment_counts(super().get_queryset(request))
        return rows.annotate(leak_a=F("response_a__leak"), leak_b=F("response_b__leak"))

    @display(description="Key", ordering="key")
    def short_key(self, comparison: Comparison) -> str:
        return comparison.key[:8]

    @display(description="Prompt")
    def asked(self, comparison: Comparison) -> str:
        return excerpt(comparison.dialogue.prompt.text)

    @display(description="State", ordering="state")
    def dotted(self, comparison: Comparison) -> SafeString:
        return dot(comparison.state)

    @display(description="Judgments", ordering="judgments_n")
    def judgments_n(self, comparison: Any) -> int:
        count: int = comparison.judgments_n
        return count

    @display(description="Names its model")
    def leaked(self, comparison: Any) -> str:
        leaks = {"A": comparison.leak_a, "B": comparison.leak_b}
        return ", ".join(f"{place}: {excerpt(leak)}" for place, leak in leaks.items() if leak) or "—"

    @display(description="Attention check")
    def attention_check(self, comparison: Comparison) -> SafeString:
        gold = comparison.gold or getattr(comparison, "promoted_to", None)
        if gold is None:
            place = reverse("admin:annotation_gold_make", args=(comparison.pk,))
            return format_html('<a class="m-button" href="{}">Make it a check…</a>', place)
        place = reverse("admin:annotation_gold_change", args=(gold.pk,))
        made = "Made of it" if comparison.gold_id is None else "It is one"
        return format_html('{}: <a href="{}">{}</a>', made, place, gold)

    @display(description="Dialogue")
    def whole(self, comparison: Comparison) -> SafeString:
        return turns(comparison.dialogue.messages)

    @display(description="Response A")
    def first(self, comparison: Comparison) -> SafeString:
        return self._response(comparison.response_a)

    @display(description="Response B")
    def second(self, comparison: Comparison) -> SafeString:
        return self._response(comparison.response_b)

    @staticmethod
    def _response(response: Response) -> SafeString:
        origin = response.policy or "unknown policy"
        warmth = f" at temperature {response.temperature:g}" if response.temperature is not None else ""
        leak = f"; names its model: “{response.leak}”" if response.leak else ""
        return format_html('{}<p class="m-help">{}{}{}</p>', prose(response.text), origin, warmth, leak)


@admin.register(Judgment)
class JudgmentAdmin(RoleAdmin):
    list_display = ("given", "annotator_name", "focus", "choice", "grade", "safety", "source", "standing")
    list_filter = ("focus", "grade", "safety", "source", "current", "comparison__batch")
    search_fields = ("uid", "comparison__key", "annotator__pseudonym")
    list_select_related = ("annotator",)
    fields = (
        "annotator_name",
        "comparison",
        "focus",
        "choice",
        "grade",
        "safety",
        "comment",
        "left",
        "guideline",
        "active_ms",
        "source",
        "standing",
        "supersedes",
        "whole_uid",
        "created_at",
    )
    readonly_fields = ("annotator_name", "standing", "whole_uid")
    ordering = ("-pk",)

    @display(description="Given", ordering="created_at")
    def given(self, judgment: Judgment) -> SafeString | str:
        return moment(judgment.created_at)

    @display(description="Annotator", ordering="annotator__pseudonym")
    def annotator_name(self, judgment: Judgment) -> str:
        return judgment.annotator.pseudonym

    @display(description="Counts", ordering="current")
    def standing(self, judgment: Judgment) -> str:
        if judgment.retracted:
            return "no: taken back"
        return "yes" if judgment.current else "no: superseded"

    @display(description="Uid")
    def whole_uid(self, judgment: Judgment) -> SafeString:
        return brief(judgment.uid, 36)
