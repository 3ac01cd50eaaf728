"""A plot of means with intervals as SVG: text that is the same wherever it is drawn, on white and on black.

Knows numbers and words. Must not know what they mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

LABELS: Final = 360  # width of the words on the left
FIELD: Final = 400  # width of the plot
LINE: Final = 24
HEAD: Final = 52
STYLE: Final = (
    "text{font:13px system-ui,sans-serif;fill:#737373}.t{font-weight:600;font-size:15px}.e{text-anchor:end}"
    ".m{text-anchor:middle}.z{stroke:#737373;stroke-dasharray:4 3}.i{stroke:#6366f1;stroke-width:2}circle{fill:#6366f1}"
)


@dataclass(frozen=True, slots=True)
class Mark:
    """One row: a mean and the ends of its interval."""

    name: str
    mean: float
    low: float
    high: float


def forest(title: str, marks: Sequence[Mark]) -> str:
    """One row a mark, a dashed line at zero, figures in percentage points at the right."""
    least = min([0.0, *(mark.low for mark in marks)])
    most = max([0.0, *(mark.high for mark in marks)])
    scale = FIELD / ((most - least) or 1.0)
    width, height = LABELS + FIELD + 130, HEAD + LINE * len(marks) + 10

    def x(value: float) -> str:
        return f"{LABELS + (value - least) * scale:.1f}"

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'role="img"><title>{escape(title)}</title><style>{STYLE}</style>',
        f'<text class="t" x="0" y="20">{escape(title)}</text>',
        f'<line class="z" x1="{x(0)}" x2="{x(0)}" y1="{HEAD - 8}" y2="{height - 6}"/>',
        f'<text class="m" x="{x(0)}" y="{HEAD - 12}">0</text>',
    ]
    for number, mark in enumerate(marks):
        middle = HEAD + LINE * number + 8
        parts.append(
            f'<text class="e" x="{LABELS - 10}" y="{middle + 4}">{escape(mark.name)}</text>'
            f'<line class="i" x1="{x(mark.low)}" x2="{x(mark.high)}" y1="{middle}" y2="{middle}"/>'
            f'<circle cx="{x(mark.mean)}" cy="{middle}" r="4"/>'
            f'<text x="{LABELS + FIELD + 14}" y="{middle + 4}">{_points(mark)}</text>'
        )
    return "\n".join([*parts, "</svg>"]) + "\n"


def _points(mark: Mark) -> str:
    half = 100 * (mark.high - mark.low) / 2
    mean = round(100 * mark.mean, 1) or 0.0  # no -0.0
    return f"{mean:+.1f} ± {half:.1f}"
