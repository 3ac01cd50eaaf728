"""Which format a file probably has, and what has to be said of it: proposals for a person to look at.

Knows each format's tell-tale fields. Must not know what becomes of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any, Final

from annotation.core.formats import argilla, label_studio
from annotation.core.formats.base import parse_line
from annotation.core.formats.fields import Row, RowError
from annotation.core.formats.guessing import Seen
from annotation.core.formats.mappings import FocusMapping
from annotation.core.formats.prompt_sets import PROMPT_SETS
from annotation.core.formats.registry import FORMATS

LOOKED_AT: Final = 1000  # rows


def first_rows(lines: Iterable[str], count: int = LOOKED_AT) -> list[Row]:
    """The first rows that are objects."""
    rows: list[Row] = []
    for line in islice((line for line in lines if line and not line.isspace()), count):
        try:
            rows.append(parse_line(line))
        except RowError:
            continue  # it will be said of the row
    return rows


def guess_format(rows: Sequence[Row]) -> str:
    """The name of the first format, the most telling ones first, that the first row looks like; empty: none."""
    if not rows:
        return ""
    return next((name for name, looks_like in _MARKS if looks_like(rows[0])), "")


def guess_mapping(form: str, rows: Sequence[Row]) -> FocusMapping | None:
    """What probably has to be said to read these rows; None: the format takes nothing, or it cannot be guessed."""
    if form in PROMPT_SETS:
        return FocusMapping()
    guess = FORMATS[form].guess
    return guess(rows) if guess is not None else None


def seen_in(form: str, rows: Sequence[Row]) -> Seen | None:
    """The names and answers from which a mapping of free names is made; None: the format has none."""
    look = {"label-studio": label_studio.look, "argilla": argilla.look}.get(form)
    return look(rows) if look else None


def _has(*names: str) -> Callable[[Row], bool]:
    return lambda row: all(row.has(name) for name in names)


def _kind(row: Row, name: str) -> type[Any] | None:
    return type(row.get(name)) if row.has(name) else None


def _is_transcript(row: Row) -> bool:
    return all(_kind(row, name) is str and "\n\nHuman:" in f"\n\n{row.get(name).lstrip()}" for name in _SIDES)


def _is_argilla(row: Row) -> bool:
    nested = _kind(row, "fields") is dict and row.has("responses")
    return nested or any(name.endswith(".responses") or _answers(row.get(name)) for name in row.names)


def _answers(value: Any) -> bool:
    one = value[0] if isinstance(value, list) and value else value
    return isinstance(one, dict) and {"user_id", "value"} <= one.keys()


def _is_in_styles(row: Row) -> bool:
    sides = [row.get(name) if row.has(name) else None for name in _SIDES]
    return all(isinstance(side, list) and side and isinstance(side[0], str) for side in sides)


_SIDES: Final = ("chosen", "rejected")

_MARKS: Final[tuple[tuple[str, Callable[[Row], bool]], ...]] = (
    ("snapshot", _has("dialogue", "messages", *_SIDES, "judgments")),
    ("judgments", _has("comparison", "response_a", "response_b", "choice", "uid")),
    ("native", _has("response_a", "response_b", "choice", "focus")),
    ("label-studio", _has("data", "annotations")),
    ("argilla", _is_argilla),
    ("tulu", _has("completion_a", "completion_b", "preference")),
    ("pandalm", _has("response1", "response2", "annotator1")),
    ("fgrlhf", _has("prediction 1", "prediction 2", "preference")),
    ("ukpconvarg", _has("a1", "a2", "assignments")),
    ("llmbar", _has("input", "output_1", "output_2", "label")),
    ("rm-bench", _is_in_styles),
    ("oasst", lambda row: _kind(row, "prompt") is dict),
    ("rewardbench", _has("prompt", *_SIDES, "chosen_model", "rejected_model")),
    ("llama-factory", _has("conversations", *_SIDES)),
    ("axolotl", lambda row: _has("messages", *_SIDES)(row) or _has("input", *_SIDES)(row)),
    ("hh-rlhf", _is_transcript),
    ("trl-preference", _has(*_SIDES)),
    ("trl-sft", lambda row: _kind(row, "messages") is list or _has("prompt", "completion")(row)),
    ("trl-prompt", _has("prompt")),
)
