"""Plots as SVG: text that is the same wherever and whenever it is drawn, and reads on white and on black.

Knows numbers, words and shapes. Must not know what they mean.

Colours differ in lightness and shapes differ too, so that nothing depends on seeing colours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Final

LABELS: Final = 240  # width of the words on the left of rows
WIDE: Final = 400  # width of the scale beside them
AFTER: Final = 120  # width of the words on the right
LINE: Final = 30
HEAD: Final = 44
FOOT: Final = 28

LEFT, RIGHT, TALL = 64, 28, 280  # the frame of plots with two axes
FRAME: Final = 532

STYLE: Final = (
    "text{font:14px system-ui,sans-serif;fill:#737373}.t{font-weight:600;font-size:15px}.e{text-anchor:end}"
    ".m{text-anchor:middle}.s{font-size:12px}"
    ".grid{stroke:#737373;stroke-opacity:.3}.axis{stroke:#737373}.half{stroke:#737373;stroke-dasharray:4 4}"
    ".one{fill:#6366f1}.two{fill:#d97706}.three{fill:#0d9488}.four{fill:none;stroke:#737373;stroke-width:2}"
    ".l1{fill:none;stroke:#6366f1;stroke-width:2}.l2{fill:none;stroke:#d97706;stroke-width:2;stroke-dasharray:6 3}"
    ".soft{fill-opacity:.6}"
)


@dataclass(frozen=True)
class Mark:
    """A kind of point: `shape` is one of dot, tick, wedge, diamond."""

    name: str
    shape: str


@dataclass(frozen=True)
class Interval:
    """A row: a value between 0 and 1 with its interval, and marks beside it, by the mark's name."""

    name: str
    value: float
    low: float
    high: float
    after: str
    marks: dict[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Scale:
    """From numbers to pixels."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


def intervals(title: str, rows: Sequence[Interval], kinds: Sequence[Mark]) -> str:
    """One row a value: a dot with its interval on a scale from 0 to 100 %, and a mark for each baseline."""
    width = LABELS + WIDE + AFTER
    bottom = HEAD + LINE * len(rows)
    scale = Scale(0, 1, LABELS, LABELS + WIDE)
    parts = [
        f'<line class="{"half" if part == 50 else "grid"}" x1="{n(scale(part / 100))}" x2="{n(scale(part / 100))}" '
        f'y1="{HEAD - 8}" y2="{bottom}"/>'
        f'<text class="m s" x="{n(scale(part / 100))}" y="{bottom + 16}">{part} %</text>'
        for part in (0, 25, 50, 75, 100)
    ]
    for number, row in enumerate(rows):
        parts.append(_row(row, kinds, scale, HEAD + LINE * number + LINE / 2 - 4))
    x = float(LABELS)
    for kind in kinds:
        parts.append(shape(kind.shape, x + 6, bottom + FOOT + 14))
        parts.append(
            f'<text class="s" x="{n(x + 18)}" y="{n(bottom + FOOT + 18)}">{escape(kind.name)}</text>'
        )
        x += 34 + 7 * len(kind.name)
    return document(title, width, bottom + FOOT + 30, parts)


def _row(row: Interval, kinds: Sequence[Mark], scale: Scale, y: float) -> str:
    known = [
        shape(kind.shape, scale(value), y)
        for kind in kinds[1:]
        if (value := row.marks.get(kind.name)) is not None
    ]
    return (
        f'<text class="e" x="{LABELS - 12}" y="{n(y + 5)}">{escape(row.name)}</text>'
        f'<line class="l1" x1="{n(scale(row.low))}" x2="{n(scale(row.high))}" y1="{n(y)}" y2="{n(y)}"/>'
        + "".join(known)
        + shape(kinds[0].shape, scale(row.value), y)
        + f'<text class="s" x="{LABELS + WIDE + 12}" y="{n(y + 5)}">{escape(row.after)}</text>'
    )


def shape(kind: str, x: float, y: float) -> str:
    """One mark with its middle at (x, y)."""
    if kind == "dot":
        return f'<circle class="one" cx="{n(x)}" cy="{n(y)}" r="5"/>'
    if kind == "tick":
        return f'<rect class="two" x="{n(x - 2)}" y="{n(y - 9)}" width="4" height="18" rx="1"/>'
    if kind == "wedge":
        return f'<path class="three" d="M{n(x)} {n(y - 7)}l6 12h-12z"/>'
    return f'<path class="four" d="M{n(x)} {n(y - 6)}l6 6-6 6-6-6z"/>'


@dataclass(frozen=True)
class Axes:
    """A frame with two axes: bounds, words, and the numbers that are written at each."""

    title: str
    across: str
    upward: str
    x: Scale
    y: Scale
    x_ticks: Sequence[tuple[float, str]]
    y_ticks: Sequence[tuple[float, str]]


def axes(
    title: str,
    across: str,
    upward: str,
    *,
    x: tuple[float, float],
    y: tuple[float, float],
    x_ticks: Sequence[tuple[float, str]],
    y_ticks: Sequence[tuple[float, str]],
) -> Axes:
    """Axes over the usual frame."""
    bottom = HEAD + 16 + TALL
    across_scale = Scale(*x, LEFT, FRAME - RIGHT)
    return Axes(title, across, upward, across_scale, Scale(*y, bottom, HEAD + 16), x_ticks, y_ticks)


def plot(frame: Axes, parts: Sequence[str], legend: Sequence[tuple[str, str]] = ()) -> str:
    """The frame with `parts` drawn in it; `legend` has (class, words) and stands above, on the right."""
    left, right, bottom, top = frame.x.start, frame.x.end, frame.y.start, frame.y.end
    lines = [
        f'<line class="grid" x1="{n(left)}" x2="{n(right)}" y1="{n(frame.y(value))}" y2="{n(frame.y(value))}"/>'
        f'<text class="e s" x="{n(left - 8)}" y="{n(frame.y(value) + 4)}">{escape(word)}</text>'
        for value, word in frame.y_ticks
    ]
    lines += [
        f'<text class="m s" x="{n(frame.x(value))}" y="{n(bottom + 18)}">{escape(word)}</text>'
        for value, word in frame.x_ticks
    ]
    lines.append(f'<line class="axis" x1="{n(left)}" x2="{n(right)}" y1="{n(bottom)}" y2="{n(bottom)}"/>')
    lines.append(f'<text class="s" x="0" y="{n(top - 12)}">{escape(frame.upward)}</text>')
    lines.append(
        f'<text class="m s" x="{n((left + right) / 2)}" y="{n(bottom + 38)}">{escape(frame.across)}</text>'
    )
    x = right
    for look, words in reversed(legend):
        x -= 7 * len(words)
        lines.append(f'<text class="s" x="{n(x)}" y="{n(top - 12)}">{escape(words)}</text>')
        lines.append(
            f'<rect class="{look}" x="{n(x - 18)}" y="{n(top - 22)}" width="12" height="12" rx="2"/>'
        )
        x -= 32
    return document(frame.title, FRAME, int(bottom + 50), [*lines, *parts])


def bars(frame: Axes, edges: Sequence[float], counts: Sequence[int], look: str) -> str:
    """A histogram as one outline, without seams, so that two of them can lie over each other."""
    steps = "".join(
        f"V{n(frame.y(count))}H{n(frame.x(edge))}" for count, edge in zip(counts, edges[1:], strict=True)
    )
    return f'<path class="{look}" d="M{n(frame.x(edges[0]))} {n(frame.y.start)}{steps}V{n(frame.y.start)}z"/>'


def line(frame: Axes, points: Sequence[tuple[float, float]], look: str) -> str:
    """Points joined by straight lines."""
    path = " ".join(f"{n(frame.x(x))},{n(frame.y(y))}" for x, y in points)
    return f'<polyline class="{look}" points="{path}"/>'


def document(title: str, width: int, height: int, parts: Sequence[str]) -> str:
    """The file: a title that is read aloud, the style, the heading and what is drawn."""
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'role="img"><title>{escape(title)}</title><style>{STYLE}</style>'
        f'<text class="t" x="0" y="22">{escape(title)}</text>'
    )
    return "\n".join([head, *parts, "</svg>"]) + "\n"


def n(value: float) -> str:
    """Pixels to a tenth, without a trailing zero."""
    return f"{round(value, 1) + 0.0:g}"
