"""Helpers that state a closed set of words twice: as choices for people, as a constraint for the database."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Any

from django.db import models


def choices_of(words: type[StrEnum]) -> list[tuple[str, str]]:
    return [(word.value, word.value.replace("_", " ")) for word in words]


def word_field(words: type[StrEnum], **options: Any) -> models.CharField[str, str]:
    """A short text column for one word of an enumeration."""
    return models.CharField(max_length=32, choices=choices_of(words), **options)


def one_of(column: str, words: Iterable[str], name: str, *, blank: bool = False) -> models.CheckConstraint:
    legal = [str(word) for word in words] + ([""] if blank else [])
    return models.CheckConstraint(condition=models.Q(**{f"{column}__in": legal}), name=name)
