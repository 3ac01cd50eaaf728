"""How one person drives the workbench: keys of their own, covers, breaks, scrolling.

Knows the actions, the defaults and what a legal key is. Must not know rows; whatever was stored by an older version
reads as something whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

ACTIONS: Final = (
    *(f"choose-{number}" for number in range(1, 9)),
    *(f"safety-{number}" for number in range(1, 4)),
    *("comment", "submit", "undo", "skip", "flag", "guidelines", "difference", "help", "previous", "next"),
)
NAMED_KEYS: Final = frozenset({"Enter", "ArrowLeft", "ArrowRight"})
LONGEST_STRETCH: Final = 240  # minutes of work before a reminder
DEFAULTS: Final[Mapping[str, Any]] = {"keys": {}, "blur": True, "break_minutes": 50, "together": True}


def complete(stored: Any) -> dict[str, Any]:
    """The whole object: what is stored and legal, and the defaults for the rest."""
    found = stored if isinstance(stored, Mapping) else {}
    legal = {name: found[name] for name in DEFAULTS if name in found and not complaint(name, found[name])}
    return {**DEFAULTS, **legal}


def complaint(name: str, value: Any) -> str:
    """What is wrong with the value of a preference; empty: nothing."""
    if name == "keys":
        return _wrong_keys(value)
    if name == "break_minutes":
        whole = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LONGEST_STRETCH
        return "" if whole else f"Minutes from 0 to {LONGEST_STRETCH}, as a whole number."
    return "" if isinstance(value, bool) else "True or false."


def _wrong_keys(keys: Any) -> str:
    if not isinstance(keys, Mapping):
        return "An object from actions to keys."
    for action, key in keys.items():
        if action not in ACTIONS:
            return f"There is no action named {str(action)[:40]!r}."
        if not isinstance(key, str) or not (key in NAMED_KEYS or (len(key) == 1 and key.isprintable())):
            return f"{action} needs one printable character, Enter, ArrowLeft or ArrowRight."
    return "" if len(set(keys.values())) == len(keys) else "One key cannot do two things."
