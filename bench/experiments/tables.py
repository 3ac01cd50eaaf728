"""The tables of docs/experiments as Markdown, from the results' JSON alone.

Knows what the results hold. Must not know how they were measured. `python -m bench.experiments.tables` prints them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from bench.record import RESULTS

GRADES: Final = {
    "significantly_better": "significantly",
    "better": "better",
    "slightly_better": "slightly",
    "negligibly_better": "negligibly",
    "all": "all",
}


def main() -> None:
    for name, tables in (("learning", learning_tables), ("graded", graded_tables)):
        path = RESULTS / f"{name}.json"
        if path.exists():
            print("\n\n".join(tables(json.loads(path.read_text()))), end="\n\n")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def share(estimate: Mapping[str, float]) -> str:
    """0.671 [0.646, 0.696]"""
    return f"{estimate['mean']:.3f} [{estimate['low']:.3f}, {estimate['high']:.3f}]"


def points(estimate: Mapping[str, float]) -> str:
    """A difference in percentage points, bold where its interval leaves zero out."""
    text = f"{100 * estimate['mean']:+.1f} [{100 * estimate['low']:+.1f}, {100 * estimate['high']:+.1f}]"
    return f"**{text}**" if estimate["low"] > 0 or estimate["high"] < 0 else text


def graded_tables(result: Mapping[str, Any]) -> list[str]:
    """Accuracy of the marginless model and what margins add; then the safety loss."""
    margin, safety = result["margin"], result["safety"]
    tables = []
    for way in ("default", "best"):
        rows = [
            [
                name,
                f"{world['accuracy'][way]['none'][grade]:.3f}",
                *(points(world["less_none"][way][size][grade]) for size in ("small", "large")),
            ]
            for grade in ("significantly_better", "all")
            for name, world in margin.items()
            if way in world["accuracy"]
        ]
        half = len(rows) // 2
        for grade, part in (("significantly better", rows[:half]), ("all grades", rows[half:])):
            head = [f"{grade}, {way} penalty", "no margin", "small less none", "large less none"]
            tables.append(table(head, part))
    grades = [
        [f"{name}, {size}", *(points(world["less_none"]["default"][size][grade]) for grade in GRADES)]
        for name, world in margin.items()
        for size in ("small", "large")
    ]
    tables.append(table(["default penalty, less none", *GRADES.values()], grades))
    figures = list(next(iter(safety.values()))["figures"]["0"])
    rows = [
        [f"{name}, weight {weight}", *(f"{one[figure]:.3f}" for figure in figures)]
        for name, world in safety.items()
        for weight, one in world["figures"].items()
    ]
    tables.append(table(["figures", *figures], rows))
    rows = [
        [f"{name}, weight {weight}", *(points(one[figure]) for figure in figures)]
        for name, world in safety.items()
        for weight, one in world["less_0"].items()
    ]
    return [*tables, table(["less weight 0", *figures], rows)]


def learning_tables(result: Mapping[str, Any]) -> list[str]:
    """Accuracies by set, paired differences, part of the grid, and the ideas."""
    sets = result["sets"]
    contestants = ("probe", "nested", "words", "length")
    tables = [
        table(
            ["set", "pairs", "groups", *contestants],
            [
                [
                    one["title"],
                    str(one["counts"]["pairs"]),
                    str(one["counts"]["groups"]),
                    *(share(one["accuracy"][who]) for who in contestants),
                ]
                for one in sets.values()
            ],
        ),
        table(
            ["set", "probe less words", "probe less length", "nested less probe", "nested less words"],
            [
                [
                    one["title"],
                    *(points(one["probe_less"][who]) for who in ("words", "length")),
                    *(points(one["nested_less"][who]) for who in ("probe", "words")),
                ]
                for one in sets.values()
            ],
        ),
    ]
    explored = {name: one for name, one in sets.items() if "grid" in one}
    if explored:
        grid = next(iter(explored.values()))["grid"]
        settings = [name for name in grid if "last+mean" in name or name.endswith("/ 0.3")]
        ideas = list(next(iter(explored.values()))["ideas_less_probe"])
        rows = [
            [setting, *(f"{one['grid'][setting]:.3f}" for one in explored.values())] for setting in settings
        ]
        tables.append(table(["height / place / l2", *explored], rows))
        rows = [
            [idea, *(points(one["ideas_less_probe"][idea]) for one in explored.values())] for idea in ideas
        ]
        tables.append(table(["idea, less the defaults", *explored], rows))
    return tables


if __name__ == "__main__":
    main()
