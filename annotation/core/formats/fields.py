"""Typed look-ups in one row of an imported file; each complaint names the field and what to do.

Knows JSON values and what may be stored as text. Must not know any format, pairs or judgments.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

MAX_NAME: Final = 200
MAX_ANNOTATOR: Final = 100
MAX_SEED: Final = 2**63 - 1

_KINDS: Final = {
    bool: "true or false",
    int: "a number",
    float: "a number",
    str: "text",
    list: "a list",
    dict: "an object",
    type(None): "null",
}


class RowError(Exception):
    """A row that cannot be used, in words for the person who prepared the file."""


def clean_text(value: Any, path: str, *, strip: bool = True) -> str:
    """`value` as text that is not blank, without blanks at its ends unless `strip` is off.

    Raises:
        RowError: anything else, or text that UTF-8 or a database cannot hold.
    """
    if not isinstance(value, str):
        raise RowError(f"{path} must be text, not {kind_of(value)}")
    if "\x00" in value:
        raise RowError(f"{path} holds a NUL character: remove it")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise RowError(
            f"{path} holds half of a surrogate pair: the text was cut inside a character"
        ) from error
    stripped = value.strip()
    if not stripped:
        raise RowError(f"{path} is empty")
    return stripped if strip else value


def kind_of(value: Any) -> str:
    return _KINDS[type(value)]


def quoted(value: Any) -> str:
    """A value from the file as it may stand in a message: short, and plain ASCII."""
    if isinstance(value, list | dict):
        return kind_of(value)
    text = ascii(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


class Row:
    """One JSON object of a file, at `path` within its row."""

    def __init__(self, data: Mapping[str, Any], path: str = "") -> None:
        self._data = data
        self._path = path

    def path(self, key: str) -> str:
        return f"{self._path}.{key}" if self._path else key

    @property
    def names(self) -> tuple[str, ...]:
        """Its fields, as the file orders them."""
        return tuple(self._data)

    def has(self, key: str) -> bool:
        """Whether the field is there with a value; null counts as absent."""
        return self._data.get(key) is not None

    def get(self, key: str) -> Any:
        """The raw value.

        Raises:
            RowError: the field is absent.
        """
        if key not in self._data:
            raise RowError(f"{self.path(key)} is missing")
        return self._data[key]

    def text(self, key: str, *, strip: bool = True) -> str:
        return clean_text(self.get(key), self.path(key), strip=strip)

    def optional_text(self, key: str) -> str:
        """Text as it stands; empty where the field is absent, null or blank."""
        value = self._data.get(key)
        if value is None or (isinstance(value, str) and not value.strip()):
            return ""
        return clean_text(value, self.path(key), strip=False)

    def name(self, key: str, *, longest: int = MAX_NAME) -> str:
        """A short name or number as text; empty where the field is absent, null or blank."""
        value = self._data.get(key)
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if value is None or (isinstance(value, str) and not value.strip()):
            return ""
        name = clean_text(value, self.path(key))
        if len(name) > longest:
            raise RowError(f"{self.path(key)} is longer than {longest} characters")
        return name

    def word(self, key: str, words: Collection[str]) -> str:
        """One of a closed set of words."""
        value = self.get(key)
        if not isinstance(value, str) or value not in words:
            raise RowError(f"{self.path(key)} is {quoted(value)}: use one of {', '.join(words)}")
        return value

    def flag(self, key: str) -> bool:
        """True or false; an absent field is false."""
        value = self._data.get(key, False)
        if not isinstance(value, bool):
            raise RowError(f"{self.path(key)} must be true or false, not {kind_of(value)}")
        return value

    def integer(self, key: str, *, low: int = 0, high: int = MAX_SEED) -> int:
        value = self.get(key)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise RowError(f"{self.path(key)} is {quoted(value)}: use a whole number from {low} to {high}")
        return value

    def number(self, key: str, *, low: float, high: float) -> float:
        """A number within bounds, both included."""
        value = self.get(key)
        # Compared before conversion: an integer of 400 digits has no float.
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise RowError(f"{self.path(key)} is {quoted(value)}: use a number from {low:g} to {high:g}")
        return float(value)

    def items(self, key: str) -> list[Any]:
        value = self.get(key)
        if not isinstance(value, list):
            raise RowError(f"{self.path(key)} must be a list, not {kind_of(value)}")
        return value

    def rows(self, key: str) -> Iterator[Row]:
        """The objects of a list, each with its index in its path."""
        for index, value in enumerate(self.items(key)):
            yield self._child(value, f"{key}[{index}]")

    def row(self, key: str) -> Row:
        return self._child(self.get(key), key)

    def _child(self, value: Any, step: str) -> Row:
        if not isinstance(value, dict):
            raise RowError(f"{self.path(step)} must be an object, not {kind_of(value)}")
        return Row(value, self.path(step))

    def refuse_others(self, known: Collection[str]) -> None:
        """Complain of a field outside `known`, so that a misspelt one is never ignored."""
        for key in self._data:
            if key not in known:
                raise RowError(f"{quoted(self.path(key))} is not a field: use {', '.join(known)}")
