"""What the pages on a person's own work show: sentences for what they said, words for a focus, the chart of days."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Final

from django import template
from django.contrib.humanize.templatetags.humanize import intcomma
from django.utils.safestring import SafeString, mark_safe

from annotation.core.grades import Focus
from annotation.core.progress import Chart
from annotation.core.worddiff import difference_html
from annotation.models import Guideline, Judgment, Pass
from annotation.queries import COUNTED
from frontend.sentences import FOCUS, sentence_of

register = template.Library()
WIDTH: Final = 16  # of a bar, in units of the drawing
GAP: Final = 4
TALL: Final = 60


@register.filter
def focus_words(focus: str) -> str:
    return str(FOCUS[Focus(focus)])


@register.filter
def sentence(row: Judgment | Pass) -> str:
    return sentence_of(row)


@register.filter
def of(words: dict[int, str], key: int) -> str:
    """What a dictionary holds for a key."""
    return words.get(key, "")


@register.filter
def counted(number: int) -> str:
    """Waiting pairs, whose count stops at COUNTED a focus: "5,000+" where there may be more."""
    return f"{intcomma(number)}+" if number >= COUNTED else intcomma(number)


@register.filter
def minutes(active_ms: int | None) -> str:
    """Time spent, as m:ss."""
    if active_ms is None:
        return "—"
    seconds = round(active_ms / 1000)
    return f"{seconds // 60}:{seconds % 60:02}"


@register.filter
def steps(versions: list[Guideline]) -> list[dict[str, Guideline]]:
    """Each version but the first with the one before it, the newest step first."""
    return [{"after": after, "before": before} for after, before in pairwise(versions)]


@register.filter
def changed_from(after: str, before: str) -> SafeString:
    """What changed between two texts; annotation.core.worddiff has made it safe."""
    return mark_safe(difference_html(before, after))  # noqa: S308


@register.inclusion_tag("frontend/chart.html")
def days_chart(chart: Chart) -> dict[str, Any]:
    """Bars as shapes with attributes alone: the policy of the site admits no styles inside a page."""
    drawn = [
        {
            "bar": bar,
            "x": number * (WIDTH + GAP),
            "y": TALL - bar.percent * TALL // 100,
            "height": bar.percent * TALL // 100,
        }
        for number, bar in enumerate(chart.bars)
    ]
    return {
        "chart": chart,
        "drawn": drawn,
        "bar_width": WIDTH,
        "width": len(drawn) * (WIDTH + GAP) - GAP,
        "tall": TALL,
        "target_at": TALL - chart.target_percent * TALL // 100 if chart.target_percent else None,
    }
