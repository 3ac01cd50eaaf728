"""Typed readers of the environment: the only place that reads os.environ.

An absent variable selects the embedded default. A variable that is set but cannot be read stops the start with
its name, its value's problem and an example.
"""

from __future__ import annotations

import os

from django.core.exceptions import ImproperlyConfigured

TRUE = frozenset({"1", "true", "yes", "on"})
FALSE = frozenset({"0", "false", "no", "off", ""})


def text(name: str, default: str = "") -> str:
    return os.environ.get(name, default)


def words(name: str, default: str = "") -> list[str]:
    """A comma-separated list."""
    return [word for raw in text(name, default).split(",") if (word := raw.strip())]


def pairs(name: str) -> dict[str, str]:
    """A comma-separated list of name=value. A complaint never repeats a value: it may be a secret."""
    found: dict[str, str] = {}
    for word in words(name):
        key, _, value = word.partition("=")
        if not (key.strip() and value.strip()):
            raise ImproperlyConfigured(
                f"{name} must be a list of name=value. Example: {name}=host=key,host:8080=key"
            )
        found[key.strip().lower()] = value.strip()
    return found


def flag(name: str, *, default: bool) -> bool:
    raw = os.environ.get(name)
    if raw is None:
        return default
    if raw.lower() in TRUE:
        return True
    if raw.lower() in FALSE:
        return False
    raise ImproperlyConfigured(f"{name} must be yes or no; got {raw!r}. Example: {name}=yes")


def number(name: str, default: float) -> float:
    raw = os.environ.get(name)
    if raw is None:
        return default
    try:
        return float(raw)
    except ValueError:
        raise ImproperlyConfigured(
            f"{name} must be a number; got {raw!r}. Example: {name}={default}"
        ) from None


def chosen(*names: str, prefixes: tuple[str, ...] = ()) -> dict[str, str]:
    """The named variables that are set, and all whose names begin with one of `prefixes`."""
    return {key: value for key, value in os.environ.items() if key in names or key.startswith(prefixes)}
