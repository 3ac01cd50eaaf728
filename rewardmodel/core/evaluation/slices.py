"""Accuracy of a part of the pairs, with its interval and the baselines beside it; and the usual parts.

Knows the columns of pairs and how they are cut. Must not know how a baseline was made, files or plots.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np

from annotation.core.grades import Focus, Grade
from annotation.core.records import PreferenceRecord
from rewardmodel.core.evaluation.intervals import share
from rewardmodel.core.evaluation.pairs import Bools, Table, mean

MANY_TURNS: Final = 5
# Bounds in characters, chosen less rejected, and the name of what lies below each; the last has no bound.
LENGTHS: Final = (
    (-500, "shorter by more than 500"),
    (-100, "shorter by 101 to 500"),
    (101, "within 100"),
    (501, "longer by 101 to 500"),
)
LONGEST: Final = "longer by more than 500"


def figure(table: Table, rows: Bools) -> dict[str, Any]:
    """How often the model prefers what people chose, among the pairs where `rows` [N] is true.

    `accuracy` with `low` and `high` (95 %), `pairs`; beside it, of the same pairs: `length` (choosing the longer
    response), `bag_of_words`, and `people`, the share of a pair's people who made its choice. None: not known.
    """
    value, low, high = share(table.credit[rows], table.prompt[rows])
    people = table.people[rows]
    return {
        "accuracy": value,
        "low": low,
        "high": high,
        "pairs": int(rows.sum()),
        "length": mean(table.length[rows]),
        "bag_of_words": None if table.words is None else mean(table.words[rows]),
        "people": mean(people[~np.isnan(people)]),
    }


def by(table: Table, name_of: Callable[[PreferenceRecord], str]) -> dict[str, Any]:
    """A figure for each name that some pair has."""
    names = np.array([name_of(pair.record) for pair in table.pairs], dtype=object)
    return {name: figure(table, names == name) for name in sorted(set(names.tolist()), key=natural)}


def by_grade(table: Table) -> dict[str, Any]:
    """Strongest first; "none" where people were not asked how much better."""
    return _sorted(by(table, lambda record: record.grade or "none"), [*Grade, "none"])


def by_batch(table: Table) -> dict[str, Any]:
    """By week, week-2 before week-10: the weekly test sets of Figure 6."""
    return by(table, lambda record: record.batch)


def by_focus(table: Table) -> dict[str, Any]:
    """Helpfulness and safety."""
    return _sorted(by(table, lambda record: record.focus), list(Focus))


def by_turns(table: Table) -> dict[str, Any]:
    """By the number of the user's turns; the last is "5+"."""
    return by(table, _turns)


def by_length_difference(table: Table) -> dict[str, Any]:
    """By how much longer the chosen response is than the other, in characters."""
    order = [*(name for _, name in LENGTHS), LONGEST]
    return _sorted(by(table, _length_difference), order)


def square(models: Mapping[Focus, Mapping[str, Any]]) -> dict[str, Any]:
    """Table 8: the accuracy of each focus's model on each focus, by grade and over all pairs ("all").

    `models` holds what `evaluate` gave for the model of each focus. A cell that nobody measured is None.
    """
    cells: dict[str, Any] = {}
    for focus, figures in models.items():
        other = next(one for one in Focus if one is not focus)
        row = {str(focus): figures, str(other): figures.get("other_focus")}
        cells[str(focus)] = {name: _cell(found) for name, found in row.items()}
    return cells


def natural(name: str) -> list[tuple[int, int, str]]:
    """A key that sorts numbers in names as numbers."""
    return [
        (0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"(\d+)", name) if part
    ]


def _cell(figures: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if not figures or not figures.get("pairs"):
        return None
    grades = {grade: found["accuracy"] for grade, found in figures.get("by_grade", {}).items()}
    return {**grades, "all": figures["accuracy"]}


def _sorted(found: Mapping[str, Any], order: list[Any]) -> dict[str, Any]:
    return {str(name): found[name] for name in order if name in found}


def _turns(record: PreferenceRecord) -> str:
    turns = sum(message["role"] == "user" for message in record.messages)
    return f"{MANY_TURNS}+" if turns >= MANY_TURNS else str(turns)


def _length_difference(record: PreferenceRecord) -> str:
    longer = len(record.chosen) - len(record.rejected)
    return next((name for bound, name in LENGTHS if longer < bound), LONGEST)
