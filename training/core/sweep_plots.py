"""The two plots of a round of rejection sampling: reward against K (Fig. 7) and against temperature (Fig. 8).

Knows the shape of the figures and the kit that draws. Must not know how a figure was computed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from rewardmodel.core.evaluation import svg

LEGEND: Final = [("one", "best, 95 %"), ("two", "median")]
MOST_TICKS: Final = 10

Bounds = Sequence[Sequence[float]]
Point = tuple[float, float]


def plots_of(figures: Mapping[str, Any]) -> dict[str, str]:
    """SVG by name, of whatever there is something to draw of."""
    drawn = {
        "best_of_k": _against_k(figures),
        "best_of_temperature": _against_temperature(figures["temperatures"]),
    }
    return {name: text for name, text in drawn.items() if text}


def _against_k(figures: Mapping[str, Any]) -> str:
    """The curve at the best temperature; those of the others are thin lines, named at their ends."""
    found = figures["best_temperature"]
    if found is None:
        return ""
    best = next(one for one in figures["temperatures"] if one["temperature"] == found["temperature"])
    others = [one for one in figures["temperatures"] if one is not best]
    points = best["points"]
    values = [value for point in points for value in point[1:]]
    values += [bound for name in ("best_95", "median_95") for pair in best[name] or () for bound in pair]
    values += [point[1] for one in others for point in one["points"]]
    ks = [float(point[0]) for one in (best, *others) for point in one["points"]]
    frame = _frame(
        f"What K samples are worth, at temperature {found['temperature']:g}",
        "K, samples of a prompt",
        ks,
        values,
    )
    parts = [part for one in others for part in (_thin(frame, one), _named(frame, one))]
    parts += _both(frame, [float(point[0]) for point in points], best)
    return svg.plot(frame, parts, LEGEND)


def _thin(frame: svg.Axes, one: Mapping[str, Any]) -> str:
    path = " ".join(f"{svg.n(frame.x(k))},{svg.n(frame.y(best))}" for k, best, _ in one["points"])
    return f'<polyline class="axis" fill="none" points="{path}"/>'


def _named(frame: svg.Axes, one: Mapping[str, Any]) -> str:
    k, best, _ = one["points"][-1]
    x, y = frame.x(k) - 4, frame.y(best) - 4
    return f'<text class="e s" x="{svg.n(x)}" y="{svg.n(y)}">{one["temperature"]:g}</text>'


def _against_temperature(found: Sequence[Mapping[str, Any]]) -> str:
    """Best and median of all samples at each temperature."""
    found = [one for one in found if one["points"]]
    if not found:
        return ""
    at_last = [one["points"][-1] for one in found]
    last: dict[str, Any] = {
        "points": at_last,
        "best_95": _ends(found, "best_95"),
        "median_95": _ends(found, "median_95"),
    }
    values = [value for point in at_last for value in point[1:]]
    values += [bound for name in ("best_95", "median_95") for pair in last[name] or () for bound in pair]
    places = [float(one["temperature"]) for one in found]
    most = max(one["points"][-1][0] for one in found)
    frame = _frame(f"What a temperature is worth, best of {most}", "temperature", places, values)
    parts = _both(frame, places, last)
    parts += [
        svg.shape("dot", frame.x(x), frame.y(p[1])) for x, p in zip(places, last["points"], strict=True)
    ]
    return svg.plot(frame, parts, LEGEND)


def _ends(found: Sequence[Mapping[str, Any]], name: str) -> list[Any] | None:
    """The interval at the end of each curve; None where one of them has none."""
    return [one[name][-1] for one in found] if all(one[name] for one in found) else None


def _both(frame: svg.Axes, places: Sequence[float], one: Mapping[str, Any]) -> list[str]:
    """Best and median, each over its interval."""
    parts = []
    for column, name, fill, look in ((1, "best_95", "one", "l1"), (2, "median_95", "two", "l2")):
        line = [(x, point[column]) for x, point in zip(places, one["points"], strict=True)]
        if one[name]:
            parts.append(_band(frame, places, one[name], fill))
        parts.append(svg.line(frame, line, look))
    return parts


def _band(frame: svg.Axes, places: Sequence[float], bounds: Bounds, look: str) -> str:
    if len(places) == 1:
        ((low, high),) = bounds
        return svg.line(frame, [(places[0], low), (places[0], high)], "l1" if look == "one" else "l2")
    under = [(x, low) for x, (low, _) in zip(places, bounds, strict=True)]
    over = [(x, high) for x, (_, high) in zip(places, bounds, strict=True)]
    path = " ".join(f"{svg.n(frame.x(x))},{svg.n(frame.y(y))}" for x, y in [*under, *reversed(over)])
    return f'<polygon class="{look}" fill-opacity=".15" points="{path}"/>'


def _frame(title: str, across: str, xs: Sequence[float], ys: Sequence[float]) -> svg.Axes:
    x, y = _span(xs), _span(ys)
    return svg.axes(title, across, "reward", x=x, y=y, x_ticks=_placed(sorted(set(xs))), y_ticks=_ticks(*y))


def _span(values: Sequence[float]) -> Point:
    """From the least to the most; some room where they are one."""
    low, high = min(values), max(values)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _placed(values: Sequence[float]) -> list[tuple[float, str]]:
    """The values themselves, thinned where they would run into each other; the last always."""
    apart = math.ceil(len(values) / MOST_TICKS)
    return [(value, f"{value:g}") for value in values[::-1][::apart]]


def _ticks(low: float, high: float) -> list[tuple[float, str]]:
    """Round numbers within the bounds, about five."""
    least = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(least))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least)
    first, last = math.ceil(low / step), math.floor(high / step)
    return [(number * step, f"{number * step:.6g}") for number in range(first, last + 1)]
