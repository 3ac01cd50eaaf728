"""Query parameters of a collection: a closed list of names, each with its values and what it does.

No parameter ever becomes the name of a column or of a look-up: what a filter does to the rows is code.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any, Final, Protocol

from django.db.models import QuerySet
from django.http import QueryDict
from django.utils.dateparse import parse_datetime

from annotation.api.problems import InvalidRequestError

Rows = QuerySet[Any]
LARGEST: Final = 2**31 - 1
LONGEST: Final = 200  # characters of a text
_ID: Final = re.compile(r"[0-9]{1,18}")


class Kind(Protocol):
    """What values a parameter takes; `schema` says so in JSON Schema."""

    @property
    def schema(self) -> dict[str, Any]: ...

    def parse(self, text: str) -> Any:
        """Raises ValueError with a phrase that says what the value has to be."""


@dataclass(frozen=True, slots=True)
class Word:
    """One of a list."""

    words: tuple[str, ...]

    @property
    def schema(self) -> dict[str, Any]:
        return {"type": "string", "enum": list(self.words)}

    def parse(self, text: str) -> str:
        if text not in self.words:
            raise ValueError(f"one of {', '.join(self.words)}")
        return text


@dataclass(frozen=True, slots=True)
class Text:
    """Characters that match `pattern` from end to end; PostgreSQL cannot compare with a NUL."""

    pattern: str = r"[^\x00]*"
    longest: int = LONGEST
    meant: str = ""

    @property
    def schema(self) -> dict[str, Any]:
        return {"type": "string", "maxLength": self.longest, "pattern": f"^{self.pattern}$"}

    def parse(self, text: str) -> str:
        if len(text) > self.longest or not re.fullmatch(self.pattern, text):
            raise ValueError(self.meant or f"text of at most {self.longest} characters, without NUL")
        return text


@dataclass(frozen=True, slots=True)
class Number:
    """A whole number within bounds, both included."""

    least: int = 0
    most: int = LARGEST

    @property
    def schema(self) -> dict[str, Any]:
        return {"type": "integer", "minimum": self.least, "maximum": self.most}

    def parse(self, text: str) -> int:
        if _ID.fullmatch(text) and self.least <= int(text) <= self.most:
            return int(text)
        raise ValueError(f"a whole number from {self.least} to {self.most}")


@dataclass(frozen=True, slots=True)
class Moment:
    """A time with its zone."""

    @property
    def schema(self) -> dict[str, Any]:
        return {"type": "string", "format": "date-time"}

    def parse(self, text: str) -> datetime:
        found = None
        if text.isascii() and len(text) <= 40:
            try:
                # A plus sign that was not encoded arrives as a space.
                found = parse_datetime(text.replace(" ", "+") if "T" in text.upper() else text)
                found = found.astimezone(UTC) if found is not None and found.tzinfo else None
            except (ValueError, OverflowError):
                found = None
        if found is None:
            raise ValueError("a time with its zone, as in 2026-01-31T12:00:00Z")
        return found


@dataclass(frozen=True, slots=True)
class Flag:
    """Yes or no."""

    @property
    def schema(self) -> dict[str, Any]:
        return {"type": "boolean"}

    def parse(self, text: str) -> bool:
        if text not in ("true", "false"):
            raise ValueError("true or false")
        return text == "true"


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """One parameter: `apply` narrows the rows to a parsed value. `default` is what an absent one means."""

    apply: Callable[[Rows, Any], Rows]
    kind: Kind
    description: str
    required: bool = False
    default: str | None = None

    @property
    def schema(self) -> dict[str, Any]:
        if self.default is None:
            return self.kind.schema
        return {**self.kind.schema, "default": self.kind.parse(self.default)}


def where(column: str) -> Callable[[Rows, Any], Rows]:
    """Rows whose column is the value. The name stands in our code, never in a request."""
    return lambda rows, value: rows.filter(**{column: value})


def word(column: str, words: type[Enum] | Iterable[str], description: str) -> Filter:
    """One of the words of an enumeration."""
    values = tuple(str(getattr(one, "value", one)) for one in words)
    return Filter(apply=where(column), kind=Word(tuple(v for v in values if v)), description=description)


def text(column: str, description: str, *, pattern: str = r"[^\x00]*", meant: str = "") -> Filter:
    return Filter(apply=where(column), kind=Text(pattern, meant=meant), description=description)


def number(column: str, description: str) -> Filter:
    return Filter(apply=where(column), kind=Number(), description=description)


def flag(column: str, description: str) -> Filter:
    return Filter(apply=where(column), kind=Flag(), description=description)


def since(column: str, description: str) -> Filter:
    """Rows from that moment on."""
    return Filter(apply=where(f"{column}__gte"), kind=Moment(), description=description)


def read_parameters(
    given: QueryDict, filters: Mapping[str, Filter], others: Iterable[str] = ()
) -> dict[str, Any]:
    """The parsed value of each filter that is given.

    Raises:
        InvalidRequestError: an unknown name (the allowed ones are listed), one given twice, a value that its kind
            does not take, a required one that is missing; all of them are named.
    """
    allowed = {*filters, *others}
    wrong: dict[str, str] = {}
    found = {name: one.kind.parse(one.default) for name, one in filters.items() if one.default is not None}
    for name in given:
        if name not in allowed:
            names = ", ".join(sorted(allowed))
            wrong[name] = f"Unknown. Allowed here: {names}." if names else "This address takes no parameters."
        elif len(given.getlist(name)) > 1:
            wrong[name] = "Given more than once."
        elif name in filters:
            try:
                found[name] = filters[name].kind.parse(str(given[name]))
            except ValueError as error:
                wrong[name] = f"It has to be {error}."
    wrong |= {n: "It is needed here." for n, f in filters.items() if f.required and n not in given}
    if wrong:
        raise InvalidRequestError(
            "A query parameter cannot be understood. Nothing was done.",
            errors=[{"field": _shown(name), "reason": reason} for name, reason in sorted(wrong.items())],
        )
    return found


def _shown(name: str) -> str:
    return name if len(name) <= LONGEST else f"{name[:LONGEST]}…"
