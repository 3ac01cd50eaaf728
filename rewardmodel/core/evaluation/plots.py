"""The plots of a report: which figure is drawn how.

Knows the names of the figures and the kit that draws. Must not know files or how a figure was computed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from rewardmodel.core.evaluation import svg
from rewardmodel.core.evaluation.slices import natural

MODEL: Final = svg.Mark("reward model, 95 %", "dot")
MARKS: Final = (
    (svg.Mark("longer response", "tick"), "length"),
    (svg.Mark("bag of words", "wedge"), "bag_of_words"),
    (svg.Mark("people", "diamond"), "people"),
)
PERCENTS: Final = [(part / 100, f"{part} %") for part in (0, 25, 50, 75, 100)]
GRADES: Final = (
    "significantly_better",
    "better",
    "slightly_better",
    "negligibly_better",
    "none",
)


def plots_of(figures: Mapping[str, Any]) -> dict[str, str]:
    """SVG by file name, of whatever there is something to draw of."""
    drawn = {
        "accuracy_by_grade": _slices(
            "Accuracy by grade", {g: figures["by_grade"][g] for g in GRADES if g in figures["by_grade"]}
        ),
        "accuracy_by_batch": _slices(
            "Accuracy by week", dict(sorted(figures["by_batch"].items(), key=lambda item: natural(item[0])))
        ),
        "reliability": _reliability(figures["calibration"]),
        "rewards": _rewards(figures["spread"]),
        "margins": _margins(figures["spread"]),
        "unsafe": _unsafe(figures["unsafe"]),
    }
    return {name: text for name, text in drawn.items() if text}


def _slices(title: str, found: Mapping[str, Any]) -> str:
    if not found:
        return ""
    kinds = [mark for mark, name in MARKS if any(one[name] is not None for one in found.values())]
    rows = [
        svg.Interval(
            name=_words(name),
            value=one["accuracy"],
            low=one["low"],
            high=one["high"],
            after=f"{one['pairs']:,} pair{'s' * (one['pairs'] != 1)}",
            marks={mark.name: one[key] for mark, key in MARKS},
        )
        for name, one in found.items()
    ]
    return svg.intervals(title, rows, [MODEL, *kinds])


def _words(name: str) -> str:
    """A grade or a week as words of a width that fits."""
    words = {"none": "not graded"}.get(name, name.replace("_", " "))
    return words if len(words) <= 30 else words[:29] + "…"


def _reliability(found: Mapping[str, Any] | None) -> str:
    if not found:
        return ""
    frame = svg.axes(
        "Is it as right as it is sure?",
        "what the model says: probability of the response that it prefers",
        "people chose that response",
        x=(0.5, 1),
        y=(0, 1),
        x_ticks=[(part / 100, f"{part} %") for part in (50, 60, 70, 80, 90, 100)],
        y_ticks=PERCENTS,
    )
    parts = [svg.line(frame, [(0.5, 0.5), (1, 1)], "half")]
    for one in found["bins"]:
        x = one["confidence"]
        parts.append(svg.line(frame, [(x, one["low"]), (x, one["high"])], "l1"))
    parts.append(svg.line(frame, [(one["confidence"], one["accuracy"]) for one in found["bins"]], "l1"))
    parts += [svg.shape("dot", frame.x(one["confidence"]), frame.y(one["accuracy"])) for one in found["bins"]]
    return svg.plot(frame, parts)


def _rewards(found: Mapping[str, Any] | None) -> str:
    if not found:
        return ""
    rewards = found["rewards"]
    frame = _histogram(
        "Rewards", "reward", "responses", rewards["edges"], [rewards["chosen"], rewards["rejected"]]
    )
    parts = [
        svg.bars(frame, rewards["edges"], rewards["rejected"], "two soft"),
        svg.bars(frame, rewards["edges"], rewards["chosen"], "one soft"),
    ]
    return svg.plot(frame, parts, [("one soft", "chosen"), ("two soft", "the other")])


def _margins(found: Mapping[str, Any] | None) -> str:
    if not found:
        return ""
    margins = found["margins"]
    frame = _histogram(
        "How far the chosen response is above the other",
        "reward of the chosen response less that of the other",
        "pairs",
        margins["edges"],
        [margins["pairs"]],
    )
    parts = [svg.bars(frame, margins["edges"], margins["pairs"], "one soft")]
    if frame.x.low < 0 < frame.x.high:
        parts.append(svg.line(frame, [(0, 0), (0, frame.y.high)], "half"))
    return svg.plot(frame, parts)


def _unsafe(found: Mapping[str, Any] | None) -> str:
    if not found:
        return ""
    frame = svg.axes(
        "Finding unsafe responses",
        "recall: share of the unsafe responses that are found",
        "precision",
        x=(0, 1),
        y=(0, 1),
        x_ticks=PERCENTS,
        y_ticks=PERCENTS,
    )
    wanted = found["precise"]["wanted"]
    parts = [
        svg.line(frame, [(0, wanted), (1, wanted)], "half"),
        f'<text class="e s" x="{svg.n(frame.x.end)}" y="{svg.n(frame.y(wanted) - 6)}">precision {wanted}</text>',
        svg.line(frame, [(recall, precision) for _, precision, recall in found["curve"]], "l1"),
    ]
    for threshold, one in found["at"].items():
        if one["precision"] is None:
            continue
        x, y = frame.x(one["recall"]), frame.y(one["precision"])
        parts.append(svg.shape("dot", x, y))
        parts.append(f'<text class="e s" x="{svg.n(x - 8)}" y="{svg.n(y + 16)}">below {threshold}</text>')
    return svg.plot(frame, parts)


def _histogram(
    title: str, across: str, upward: str, edges: Sequence[float], counts: Sequence[Sequence[int]]
) -> svg.Axes:
    most = max(max(one) for one in counts)
    step = _step(max(1, most / 4))  # there is no half pair
    low, high = edges[0], edges[-1]
    apart = _step((high - low) / 5)
    first = math.ceil(low / apart)
    across_ticks = [(k * apart, f"{k * apart:.6g}") for k in range(first, math.floor(high / apart) + 1)]
    upward_ticks = [(k * step, f"{k * step:,.0f}") for k in range(math.floor(most / step) + 1)]
    return svg.axes(
        title, across, upward, x=(low, high), y=(0, most), x_ticks=across_ticks, y_ticks=upward_ticks
    )


def _step(least: float) -> float:
    """1, 2 or 5 times a power of ten, at least `least`."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least)
