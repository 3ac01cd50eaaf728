"""Form fields made from typed parameters: the same names, limits and explanations everywhere.

Knows pydantic's fields. What a parameter means stands in the specs.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final, Literal, get_args, get_origin

import annotated_types
from django import forms
from django.db.models import Model, QuerySet
from pydantic.fields import FieldInfo

from training.models import Run


class NumbersField(forms.CharField):
    """Numbers separated by commas."""

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(f"{x:g}" for x in value) if isinstance(value, list | tuple) else value

    def to_python(self, value: Any) -> Any:
        text = super().to_python(value) or ""
        try:
            return [float(part) for part in text.split(",") if part.strip()]
        except ValueError:
            raise forms.ValidationError("Write numbers separated by commas, such as 0.7, 1.0.") from None


def field_of(name: str, info: FieldInfo) -> forms.Field:
    """The form field for a parameter. Pydantic has the last word on its value."""
    given: dict[str, Any] = {
        "label": name.replace("_", " ").capitalize(),
        "help_text": info.description or "",
        "initial": None if info.is_required() else info.default,
        "required": info.annotation is not bool,
    }
    kind: Any = info.annotation
    if words := _words(kind):
        return forms.ChoiceField(choices=[(word, word) for word in words], **given)
    if get_origin(kind) is tuple:
        return NumbersField(**given)
    if kind is bool:
        return forms.BooleanField(**given)
    if kind is int:
        return forms.IntegerField(**given, **_limits(info))
    if kind is float:
        widget = forms.NumberInput(attrs={"step": "any", "inputmode": "decimal"})
        return forms.FloatField(widget=widget, **given, **_limits(info))
    return forms.CharField(**given)


def _words(kind: Any) -> list[str]:
    """The closed set of words that a parameter takes; empty: it takes others."""
    if get_origin(kind) is Literal:
        return list(get_args(kind))
    return [word.value for word in kind] if isinstance(kind, type) and issubclass(kind, StrEnum) else []


def _limits(info: FieldInfo) -> dict[str, Any]:
    """Limits that include their ends; pydantic alone checks those that do not."""
    limits: dict[str, Any] = {}
    for rule in info.metadata:
        if isinstance(rule, annotated_types.Ge):
            limits["min_value"] = rule.ge
        elif isinstance(rule, annotated_types.Le):
            limits["max_value"] = rule.le
    return limits


class RowField(forms.ModelChoiceField[Any]):
    """One of some rows, the first of which is chosen at first; without any it says what would bring one."""

    def __init__(self, rows: QuerySet[Any], *, none: str, **options: Any) -> None:
        self.none = none
        super().__init__(rows, empty_label=None if options.get("required", True) else "—", **options)

    def label_from_instance(self, obj: Model) -> str:
        if isinstance(obj, Run):
            of = f" of {obj.iteration}" if obj.iteration else ""
            return f"run {obj.pk}{of}, {obj.result.get('prompts', 0):,} prompts"
        return f"{obj} (current)" if getattr(obj, "current", False) else str(obj)


def seed_field() -> forms.IntegerField:
    return forms.IntegerField(
        min_value=0, max_value=2**31 - 1, initial=0, help_text="The same seed gives the same result."
    )


def name_field() -> forms.CharField:
    return forms.CharField(max_length=100, required=False, help_text="Empty: the name that is suggested.")


NO_POLICY: Final = "There is no policy yet. Import one first."
NO_SNAPSHOT: Final = "There is no snapshot yet. Seal a batch and write one."
NO_REWARD_MODEL: Final = "There is no reward model yet. Train one first."
