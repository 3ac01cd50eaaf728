"""The rule by which a reward model takes the place of the current one: not worse, beyond the interval, in any grade.

Knows what two models were credited with on the same test pairs. Must not know rewards, rows or how either was trained,
and must not import torch: the web process reads the verdict.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from annotation.core.grades import Grade

LEAST: Final = 30  # prompts of a grade below which nothing is said of it
Z: Final = 1.959963984540054  # of 95 % of the normal distribution, both ends
UNGRADED: Final = "none"


class How(StrEnum):
    """By what a version became the current one of its focus."""

    FIRST = "first"  # there was none
    RULE = "rule"  # the figures passed
    OVERRIDE = "override"  # somebody decided, and said why
    ROLLBACK = "rollback"  # what stood before it was wanted again


class Finding(StrEnum):
    """What a paired comparison says of the candidate."""

    BETTER = "better"  # the whole interval lies above 0
    NOT_WORSE = "not_worse"  # the interval holds 0
    WORSE = "worse"  # the whole interval lies below 0
    TOO_FEW = "too_few"  # fewer than LEAST prompts: it neither blocks nor passes


@dataclass(frozen=True, slots=True)
class Compared:
    """One test pair and what each model is credited with: 1 where it prefers what people chose, 0 where it does not,
    1/2 for a tie. `grade` is a Grade or UNGRADED; pairs of one prompt count as one draw for the interval."""

    grade: str
    prompt: str
    candidate: float
    current: float


def compare(pairs: Iterable[Compared]) -> dict[str, Any]:
    """The figures on all pairs, and `by_grade`, as plain JSON without NaN.

    Each holds `pairs`, `prompts`, the accuracies `candidate` and `current`, their `difference`, and `low` and `high`,
    the ends of its 95 % interval; the last five are None where there is no pair.
    """
    rows = list(pairs)
    groups = {name: [row for row in rows if row.grade == name] for name in (*Grade, UNGRADED)}
    by_grade = {str(name): _figures(group) for name, group in groups.items() if group}
    return {**_figures(rows), "by_grade": by_grade}


def _figures(rows: Sequence[Compared]) -> dict[str, Any]:
    count = len(rows)
    if not count:
        empty = dict.fromkeys(("candidate", "current", "difference", "low", "high"))
        return {"pairs": 0, "prompts": 0, **empty}
    low, high = interval(rows)
    candidate = math.fsum(row.candidate for row in rows) / count
    current = math.fsum(row.current for row in rows) / count
    return {
        "pairs": count,
        "prompts": len({row.prompt for row in rows}),
        "candidate": candidate,
        "current": current,
        "difference": math.fsum(row.candidate - row.current for row in rows) / count,
        "low": low,
        "high": high,
    }


def interval(rows: Sequence[Compared]) -> tuple[float, float]:
    """The 95 % interval of the mean paired difference, candidate less current, within -1 and 1.

    The adjusted Wald interval of Agresti and Min (Statistics in Medicine 24, 2005) for matched proportions: two made-up
    pairs are added, half a win, half a loss and one draw, so that it is never empty and holds for few pairs too. Its
    variance is summed by prompt, as pairs of one prompt go up and down together; with one pair a prompt it is theirs.
    """
    count = len(rows) + 2
    centre = math.fsum(row.candidate - row.current for row in rows) / count
    by_prompt: dict[str, list[float]] = {}
    for row in rows:
        by_prompt.setdefault(row.prompt, []).append(row.candidate - row.current - centre)
    # The made-up pairs: (1 - c)² / 2 + (1 + c)² / 2 + c².
    spread = math.fsum(math.fsum(own) ** 2 for own in by_prompt.values()) + 1 + 2 * centre**2
    reach = Z * math.sqrt(spread) / count
    return max(-1.0, centre - reach), min(1.0, centre + reach)


@dataclass(frozen=True, slots=True)
class Row:
    """What the comparison says of one grade, or of all."""

    name: str
    pairs: int
    prompts: int
    candidate: float | None
    current: float | None
    difference: float | None
    low: float | None
    high: float | None

    @property
    def finding(self) -> Finding:
        if self.prompts < LEAST or self.low is None or self.high is None:
            return Finding.TOO_FEW
        if self.high < 0:
            return Finding.WORSE
        return Finding.BETTER if self.low > 0 else Finding.NOT_WORSE

    @property
    def sentence(self) -> str:
        """For a researcher."""
        if self.finding is Finding.TOO_FEW:
            return (
                f"Too few to say: {_counted(self.prompts, 'prompt')} of at least {LEAST}. It neither blocks nor "
                "passes."
            )
        said = {
            Finding.BETTER: "Better: all of the interval lies above 0.",
            Finding.NOT_WORSE: "Not worse: the interval holds 0.",
            Finding.WORSE: "Worse: all of the interval lies below 0.",
        }
        return said[self.finding]

    @property
    def points(self) -> str:
        """The difference and its interval, in words."""
        if self.difference is None or self.low is None or self.high is None:
            return "—"
        return f"{_points(self.difference)} points ({_points(self.low)} to {_points(self.high)})"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the rule says, with a row for each grade that has pairs and one over all of them."""

    passes: bool
    sentence: str
    grades: tuple[Row, ...]
    overall: Row

    @property
    def rows(self) -> tuple[Row, ...]:
        return (*self.grades, self.overall)


def judge(figures: Mapping[str, Any]) -> Verdict:
    """The verdict on figures that `compare` gave.

    It passes where something can be said, and nothing that can be said is "worse". All grades together are one more
    row: many grades may each be a little worse, and few pairs may suffice together.
    """
    by_grade = figures.get("by_grade") or {}
    grades = tuple(_row(_words(name), by_grade[name]) for name in (*Grade, UNGRADED) if name in by_grade)
    overall = _row("all grades", figures)
    rows = (*grades, overall)
    worse = [row for row in rows if row.finding is Finding.WORSE]
    if not overall.pairs:
        return Verdict(False, "There are no test pairs to compare them on.", grades, overall)
    if worse:
        where = "; ".join(f"“{row.name}” {row.points}" for row in worse)
        return Verdict(False, f"It is worse beyond the interval: {where}.", grades, overall)
    if all(row.finding is Finding.TOO_FEW for row in rows):
        few = f"The test pairs are of {_counted(overall.prompts, 'prompt')}, too few to say anything: it takes {LEAST}."
        return Verdict(False, few, grades, overall)
    silent = [f"“{row.name}”" for row in grades if row.finding is Finding.TOO_FEW]
    besides = f" Too few pairs to say: {', '.join(silent)}." if silent else ""
    return Verdict(True, f"It is not worse, beyond the interval, in any grade.{besides}", grades, overall)


def step_back(turns: Iterable[tuple[str, int]]) -> int | None:
    """Which version a roll-back leads to, from the promotions of a focus, the oldest first: (how, version) each.

    A roll-back takes back what stands on top, so that a second one leads further back and never forth. None: there is
    nothing before the current one.
    """
    standing: list[int] = []
    for how, version in turns:
        if how == How.ROLLBACK:
            standing.pop()
        else:
            standing.append(version)
    return standing[-2] if len(standing) > 1 else None


def _row(name: str, figures: Mapping[str, Any]) -> Row:
    return Row(
        name=name,
        pairs=figures.get("pairs") or 0,
        prompts=figures.get("prompts") or 0,
        candidate=figures.get("candidate"),
        current=figures.get("current"),
        difference=figures.get("difference"),
        low=figures.get("low"),
        high=figures.get("high"),
    )


def _words(grade: str) -> str:
    return "no grade" if grade == UNGRADED else grade.replace("_", " ")


def _points(share: float) -> str:
    # Adding 0 turns -0.0 into 0.0.
    return f"{round(100 * share, 1) + 0:+.1f}".replace("-", "\N{MINUS SIGN}")


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"
