"""Plots of a dataset card as SVG: text that is the same wherever and whenever it is drawn.

Knows numbers and words. Must not know what they mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

LABELS: Final = 240  # width of the words on the left
BAR: Final = 360  # width of the longest bar
LINE: Final = 28
HEAD: Final = 44

# Both on white and on black.
STYLE: Final = (
    "text{font:14px system-ui,sans-serif;fill:#737373}.t{font-weight:600;font-size:15px}.e{text-anchor:end}"
    "rect{fill:#6366f1}"
)


def bars(title: str, counts: Sequence[tuple[str, int]]) -> str:
    """One horizontal bar a count, the longest as wide as the plot."""
    most = max([count for _, count in counts], default=0) or 1
    height = HEAD + LINE * len(counts) + 8
    width = LABELS + BAR + 100
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'role="img"><title>{escape(title)}</title><style>{STYLE}</style>',
        f'<text class="t" x="0" y="22">{escape(title)}</text>',
    ]
    for number, (name, count) in enumerate(counts):
        top = HEAD + LINE * number
        wide = max(round(BAR * count / most), 1 if count else 0)
        parts.append(
            f'<text class="e" x="{LABELS - 10}" y="{top + 15}">{escape(name)}</text>'
            f'<rect x="{LABELS}" y="{top}" width="{wide}" height="20" rx="3"/>'
            f'<text x="{LABELS + wide + 8}" y="{top + 15}">{count:,}</text>'
        )
    return "\n".join([*parts, "</svg>"]) + "\n"
