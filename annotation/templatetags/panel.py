"""Small marks of the admin's pages: a state as a word with a dot, a moment, an identifier to copy.

Knows words and looks. Everything is escaped here; nothing given is taken for markup.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

from django import template
from django.contrib.humanize.templatetags.humanize import naturaltime
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timezone import localtime

register = template.Library()

# The dot's colour says nothing that the word beside it does not say.
TONES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "open": "live",
        "running": "live",
        "collecting": "live",
        "cancelling": "warn",
        "sealed": "good",
        "complete": "good",
        "succeeded": "good",
        "fed_back": "good",
        "failed": "bad",
        "errored": "bad",
        "withdrawn": "warn",
        "in force": "good",
        "passed": "good",
        "at work": "good",
        "paused": "warn",
        "waiting": "warn",
        "on": "good",
        "works": "good",
        "failing": "bad",
        "delivered": "good",
        "ready": "good",
        "writing": "live",
    }
)


# Where a state's own word would not speak for itself.
WORDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "snapshot": "snapshot written",
        "rewarded": "reward models trained",
        "selected": "winners selected",
        "tuned": "policy tuned",
    }
)


@register.filter
def dot(word: str, beside: object = "") -> SafeString:
    """A state: its dot and its word, and what stands beside it, such as "42 %"."""
    text = WORDS.get(word, word.replace("_", " "))
    return format_html(
        '<span class="m-state" data-tone="{}">{}{}</span>',
        TONES.get(word, "quiet"),
        text,
        f" {beside}" if beside not in ("", None) else "",
    )


@register.filter
def words(value: object) -> str:
    """An identifier as words: "train_reward_model" becomes "train reward model"."""
    return str(value).replace("_", " ")


@register.filter
def moment(value: datetime | None) -> SafeString | str:
    """How long ago, with the time itself on hover; a script turns that into the viewer's own zone."""
    if value is None:
        return "—"
    absolute = date_format(localtime(value), "j M Y H:i e")
    return format_html(
        '<time datetime="{}" title="{}">{}</time>', value.isoformat(), absolute, naturaltime(value)
    )


@register.filter
def brief(value: object, length: int = 8) -> SafeString:
    """The beginning of an identifier; a click copies the whole."""
    text = str(value)
    return format_html(
        '<button type="button" class="m-copy" data-copy="{}" title="Copy {}">{}</button>',
        text,
        text,
        text[:length],
    )


@register.filter
def number(value: Any) -> str:
    """A figure: whole ones with thin groups, others with four significant digits, absent ones as a dash."""
    if value is None or value == "":
        return "—"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4g}"
