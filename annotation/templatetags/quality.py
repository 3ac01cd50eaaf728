"""Figures of agreement and of people's work: numbers in their units, and small pictures beside them.

Knows numbers. Pictures repeat what stands in words beside them, so they are hidden from screen readers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from django import template
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from annotation.core.conduct import Drift, Use
from annotation.models import Batch, User
from annotation.templatetags.panel import words

register = template.Library()

NONE: Final = "—"
MINUS: Final = "\N{MINUS SIGN}"
LOWEST: Final = -0.25  # that a plot of a coefficient shows; less is drawn at its edge


@register.filter
def percent(share: float | None) -> str:
    """A share as a whole per cent; the sign stands in the head of the column or in the sentence."""
    return NONE if share is None else f"{100 * share:.0f}".replace("-", MINUS)


@register.filter
def points(difference: float | None) -> str:
    """A difference of shares in points of per cent, with its sign."""
    if difference is None:
        return NONE
    return f"{round(100 * difference):+}".replace("-", MINUS).removeprefix("+0") or "0"


@register.filter
def coefficient(value: float | None) -> str:
    """With two digits and a true minus."""
    return NONE if value is None else f"{round(value, 2) + 0.0:.2f}".replace("-", MINUS)


@register.filter
def error(value: float | None) -> str:
    """A standard error, to one digit more."""
    return NONE if value is None else f"{value:.3f}"


@register.filter
def seconds(value: float | None) -> str:
    return NONE if value is None else f"{value:.1f}" if value < 10 else f"{value:,.0f}"


@register.filter
def heat(share: float) -> str:
    """How strongly a cell is coloured, in per cent; text stays readable on the strongest."""
    return f"{60 * share:.0f}"


@register.filter
def change(drift: Drift) -> float | None:
    """How much more often than before somebody agrees with the others, beside how the others changed."""
    if drift.early.others is None or drift.late.others is None:
        return None
    return drift.late.excess - drift.early.excess


@register.filter
def at(rows: Mapping[Any, Any], key: Any) -> Any:
    return rows[key]


@register.simple_tag
def person_link(batch: Batch, user: User) -> SafeString:
    """To somebody's page in a batch; the account's name on hover."""
    address = reverse("admin:annotation_batch_person", args=(batch.pk, user.pk))
    return format_html('<a href="{}" title="{}">{}</a>', address, user.username, user.pseudonym)


@register.simple_tag
def use_bar(use: Use) -> SafeString | str:
    """How often each word was used as a bar in as many parts; the words on hover and for screen readers."""
    shares = [(words(word), share.value) for word, share in use.shares.items()]
    known = [(word, value) for word, value in shares if value is not None]
    if not known:
        return NONE
    told = ", ".join(f"{word} {percent(value)} %" for word, value in known)
    parts = format_html_join("", '<i style="flex-grow: {}"></i>', ((f"{value:.3f}",) for _, value in known))
    return format_html(
        '<span class="q-bar" role="img" aria-label="{}" title="{}">{}</span>', told, told, parts
    )


@register.simple_tag
def share_plot(low: float, value: float | None, high: float, others: float | None = None) -> SafeString | str:
    """A share from 0 to 1 with its interval; a fine line where the others are."""
    return "" if value is None else _plot(low, value, high, others)


@register.simple_tag
def coefficient_plot(low: float | None, value: float | None, high: float | None) -> SafeString | str:
    """A coefficient from LOWEST to 1 with its interval; a fine line at 0, agreement as by chance."""
    if value is None or low is None or high is None:
        return ""
    return _plot(_place(low), _place(value), _place(high), _place(0))


def _place(value: float) -> float:
    return (max(value, LOWEST) - LOWEST) / (1 - LOWEST)


def _plot(low: float, value: float, high: float, mark: float | None) -> SafeString:
    marked = (
        ""
        if mark is None
        else format_html('<rect class="q-mark" x="{}" y="0" width="1" height="16"/>', _x(mark, 1))
    )
    return format_html(
        '<svg class="q-plot" viewBox="0 0 100 16" preserveAspectRatio="none" aria-hidden="true">'
        '<rect class="q-track" x="0" y="7" width="100" height="2"/>{}'
        '<rect class="q-range" x="{}" y="5" width="{}" height="6"/>'
        '<rect class="q-value" x="{}" y="2" width="3" height="12"/></svg>',
        marked,
        f"{100 * low:.1f}",
        f"{100 * max(high - low, 0.01):.1f}",
        _x(value, 3),
    )


def _x(place: float, width: int) -> str:
    """The left edge of a mark that stays inside the picture."""
    return f"{min(max(100 * place - width / 2, 0), 100 - width):.1f}"
