"""Figures of the tests on the admin's pages."""

from __future__ import annotations

from collections.abc import Sequence

from django import template
from django.utils.text import Truncator

from annotation.core.qualification import MOST_POINTS
from annotation.core.records import Message
from annotation.models import StepKind
from annotation.qualifying import Asked

register = template.Library()


@register.filter
def percent(share: float | None) -> str:
    """A share as per cent, to one digit; its sign stands in the head of the column."""
    return "—" if share is None else f"{100 * share:.1f}".removesuffix(".0")


@register.filter
def part_of(count: int, whole: int) -> str:
    return f"{count:,} of {whole:,}"


@register.filter
def of_points(share: float) -> str:
    """A share of the points as points on average."""
    return f"{MOST_POINTS * share:.2f}".rstrip("0").rstrip(".")


@register.filter
def last_words(messages: Sequence[Message]) -> str:
    """The beginning of what was asked last."""
    return Truncator(" ".join(messages[-1]["content"].split())).chars(120)


@register.filter
def answer_words(asked: Asked) -> str:
    """A stored answer in data's terms."""
    if asked.answer is None:
        return "—"
    value = asked.answer.value
    if asked.question.step.kind == StepKind.QUIZ:
        return " · ".join(asked.question.options[number] for number in value)
    if asked.question.step.kind == StepKind.RATING:
        parts = (value.get(part) for part in ("choice", "grade", "safety"))
        return " · ".join(part.replace("_", " ") for part in parts if part)
    return str(value)
