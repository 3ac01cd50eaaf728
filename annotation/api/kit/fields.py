"""`?fields=a,b.c`: only some fields of each row, so that what nobody reads is neither worked out nor sent."""

from __future__ import annotations

import re
from typing import Any, Final

from rest_framework import serializers

from annotation.api.problems import InvalidRequestError

LONGEST: Final = 2_000  # characters
Serializer = serializers.Serializer[Any]


def narrow(serializer: Serializer | serializers.ListSerializer[Any], wanted: str) -> None:
    """Leave of a serializer, of rows or of one, the fields that a comma-separated list names; `a.b` is the field b of
    the object or objects in a.

    Raises:
        InvalidRequestError: a name that is not a field; the fields are listed.
    """
    one = _inner(serializer)
    if one is None:  # pragma: no cover  every collection has rows with fields
        raise TypeError(f"{serializer!r} has no fields")
    names = wanted.split(",")
    if len(wanted) > LONGEST or "" in names:
        raise _refused("Name fields, separated by commas and nothing else.")
    _keep(one, set(names), "")


def pattern_of(serializer: Serializer | serializers.ListSerializer[Any]) -> str:
    """What a list of its fields looks like, for the schema."""
    names = "|".join(re.escape(name) for name in _names(serializer))
    return f"^({names})(,({names}))*$"


def _names(serializer: Any) -> list[str]:
    one = _inner(serializer)
    found = []
    for name, field in one.fields.items() if one is not None else ():
        found += [name, *(f"{name}.{below}" for below in _names(field))]
    return found


def _keep(serializer: Serializer, names: set[str], above: str) -> None:
    below: dict[str, set[str]] = {}
    for name in names:
        head, _, rest = name.partition(".")
        below.setdefault(head, set())
        if rest:
            below[head].add(rest)
    for head, rests in below.items():
        field = serializer.fields.get(head)
        if field is None:
            known = ", ".join(f"{above}{name}" for name in serializer.fields)
            raise _refused(f"There is no field {above}{head[:100]}. There are: {known}.")
        inner = _inner(field)
        if rests and inner is None:
            raise _refused(f"{above}{head} has no fields of its own.")
        # A field that is named whole stays whole, whatever of it is named beside.
        if rests and inner is not None and head not in names:
            _keep(inner, rests, f"{above}{head}.")
    for unwanted in set(serializer.fields) - set(below):
        serializer.fields.pop(unwanted)


def _inner(field: Any) -> Serializer | None:
    child = field.child if isinstance(field, serializers.ListSerializer) else field
    return child if isinstance(child, serializers.Serializer) else None


def _refused(reason: str) -> InvalidRequestError:
    return InvalidRequestError(
        "fields cannot be understood. Nothing was done.", errors=[{"field": "fields", "reason": reason}]
    )
