"""How the server's JSON becomes typed records, and stays readable when the server is newer or says less.

A field that this version does not know is kept in `extra`. A field that a request left out (`fields=`) says so
when it is read, instead of pretending to be empty.
"""

from __future__ import annotations

import functools
import json
import types
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self, Union, get_args, get_origin, get_type_hints


@dataclass(frozen=True, eq=False, repr=False)
class Record:
    """One object of the API. Two are equal when the server said the same of them."""

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Self:
        record = cls.__new__(cls)
        kinds = _kinds(cls)
        known = {name: _convert(kinds[name], value) for name, value in data.items() if name in kinds}
        record.__dict__.update(known, _data=dict(data))
        return record

    @property
    def extra(self) -> dict[str, Any]:
        """What the server said beyond the fields that this version knows."""
        return {name: value for name, value in self.as_dict().items() if name not in _kinds(type(self))}

    def as_dict(self) -> dict[str, Any]:
        """As the server said it."""
        said: dict[str, Any] = self.__dict__["_data"]
        return dict(said)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.__dict__["_data"] == self.__dict__["_data"]

    def __hash__(self) -> int:
        return hash(json.dumps(self.as_dict(), sort_keys=True))

    def __repr__(self) -> str:
        said = ", ".join(f"{name}={_short(value)}" for name, value in self.as_dict().items())
        return f"{type(self).__name__}({said})"

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            if name.startswith("_"):
                raise AttributeError(name)
            if name in _kinds(type(self)):
                raise AttributeError(
                    f"This {type(self).__name__} has no {name!r}: the server did not send it. Was it left out by "
                    "`fields=`?"
                )
            raise AttributeError(f"A {type(self).__name__} has no {name!r}; see `extra` for unknown fields.")


def _kinds(record: Any) -> dict[str, Any]:
    return _read_kinds(record)


@functools.cache
def _read_kinds(record: Any) -> dict[str, Any]:
    hints = get_type_hints(record)
    return {field.name: hints[field.name] for field in fields(record)}


def _convert(kind: Any, value: Any) -> Any:
    if value is None:
        return None
    if get_origin(kind) in (Union, types.UnionType):
        kind = next(one for one in get_args(kind) if one is not type(None))
    if get_origin(kind) is tuple:
        return tuple(_convert(get_args(kind)[0], one) for one in value)
    if isinstance(kind, type) and issubclass(kind, Record):
        return kind.of(value) if isinstance(value, Mapping) else value
    if kind is datetime:
        return datetime.fromisoformat(value)
    return value


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
