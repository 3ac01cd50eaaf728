"""Files of prompts: JSON lines, or CSV with a header. docs/prompts.md lists the fields.

Knows the fields and what may stand in them. Must not know files (lines.py), near-duplicates or the database.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Any, Final, TypeVar

from annotation.core.categories import AttackStyle, RiskCategory
from annotation.core.formats.base import BadRow, parse_line
from annotation.core.formats.fields import Row, RowError, quoted
from annotation.core.formats.lines import UnreadableFileError
from annotation.core.grades import Focus

LONGEST: Final = 20_000  # characters, as in the workbench
MOST_TURNS: Final = 100
MAX_LABEL: Final = 100
MAX_LANGUAGE: Final = 16
LANGUAGE: Final = re.compile(r"[a-z]{2,3}(-[a-z0-9]{2,8}){0,2}")

FIELDS: Final = (
    "text",
    "focus",
    "category",
    "risk",
    "attack",
    "language",
    "turns",
    "source",
    "licence",
    "difficulty",
    "id",
)
SYNONYMS: Final = {"text": "prompt", "category": "topic", "licence": "license"}


Word = TypeVar("Word", RiskCategory, AttackStyle)


class PromptForm(StrEnum):
    """The shape of a file."""

    JSONL = "jsonl"
    CSV = "csv"


@dataclass(frozen=True, slots=True)
class ImportedPrompt:
    """One prompt of a file. `line` counts from 1; in a CSV it is the last one of the row."""

    line: int
    text: str
    focus: Focus
    category: str = ""
    risk: RiskCategory | None = None
    attack: AttackStyle | None = None
    language: str = ""
    turns: int = 1
    source: str = ""
    licence: str = ""
    difficulty: float | None = None


def form_of(name: str) -> PromptForm:
    """The form that a file's name promises."""
    return PromptForm.CSV if name.lower().removesuffix(".gz").endswith(".csv") else PromptForm.JSONL


def read_prompts(
    lines: Iterable[str], *, form: PromptForm, focus: Focus | None = None, language: str = ""
) -> Iterator[ImportedPrompt | BadRow]:
    """Prompts and bad rows in the order of the file; `focus` and `language` stand where a row says nothing.

    Raises:
        UnreadableFileError: while iterating: a CSV whose header or quotes are wrong.
    """
    for line, row in _csv_rows(lines) if form is PromptForm.CSV else _json_rows(lines):
        try:
            yield _prompt(line, row(), focus, language)
        except RowError as error:
            yield BadRow(line, str(error))


def _json_rows(lines: Iterable[str]) -> Iterator[tuple[int, Callable[[], Row]]]:
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield number, partial(parse_line, line)


def _csv_rows(lines: Iterable[str]) -> Iterator[tuple[int, Callable[[], Row]]]:
    table = csv.reader((f"{line}\n" for line in lines), strict=True)
    try:
        names = _header(next(table, []))
        for cells in table:
            if any(cell.strip() for cell in cells):
                yield table.line_num, partial(_cells, names, cells)
    except csv.Error as error:
        reason = (
            f"{error}: a text that holds commas, quotes or line ends stands in quotes, its own quotes doubled"
        )
        raise UnreadableFileError(table.line_num, reason) from error


def _header(cells: Sequence[str]) -> list[str]:
    names = [cell.strip().lower() for cell in cells]
    known = (*FIELDS, *SYNONYMS.values())
    if not {"text", "prompt"} & set(names):
        raise UnreadableFileError(1, "the first line names the columns, among them text or prompt")
    for name in names:
        if name not in known:
            raise UnreadableFileError(1, f"{quoted(name)} is not a column: use {', '.join(known)}")
        if names.count(name) > 1:
            raise UnreadableFileError(1, f"the column {name} is there twice")
    return names


def _cells(names: Sequence[str], cells: Sequence[str]) -> Row:
    """A row of text as one of JSON: what is blank is absent, and numbers are numbers."""
    if len(cells) > len(names):
        raise RowError(
            f"{len(cells)} cells for {len(names)} columns: a text that holds commas stands in quotes"
        )
    given: dict[str, Any] = {name: cell for name, cell in zip(names, cells, strict=False) if cell.strip()}
    for name, kind in (("turns", int), ("difficulty", float)):
        with suppress(KeyError, ValueError):
            given[name] = kind(given[name])
    return Row(given)


def _prompt(line: int, row: Row, focus: Focus | None, language: str) -> ImportedPrompt:
    row.refuse_others((*FIELDS, *SYNONYMS.values()))
    if focus is None or row.has("focus"):
        focus = Focus(row.word("focus", tuple(Focus)))
    return ImportedPrompt(
        line=line,
        text=_text(row),
        focus=focus,
        category=row.name(_named(row, "category"), longest=MAX_LABEL),
        risk=_word(row, "risk", RiskCategory),
        attack=_word(row, "attack", AttackStyle),
        language=language_code(row.name("language")) or language,
        turns=row.integer("turns", low=1, high=MOST_TURNS) if row.has("turns") else 1,
        source=row.name("source"),
        licence=row.name(_named(row, "licence"), longest=MAX_LABEL),
        difficulty=row.number("difficulty", low=0, high=1) if row.has("difficulty") else None,
    )


def _text(row: Row) -> str:
    name = _named(row, "text")
    text = row.text(name).replace("\r\n", "\n")
    if len(text) > LONGEST:
        raise RowError(f"{name} has {len(text):,} characters: {LONGEST:,} are the most")
    return text


def _named(row: Row, name: str) -> str:
    """Which of a field's two names the row uses."""
    other = SYNONYMS[name]
    if row.has(name) and row.has(other):
        raise RowError(f"give either {name} or {other}, one of the two")
    return other if row.has(other) else name


def _word(row: Row, name: str, words: type[Word]) -> Word | None:
    """A word of a closed set, in whatever case; blanks and hyphens are taken for what stands between its parts."""
    value = row.name(name)
    try:
        return words("_".join(re.split(r"[\s_-]+", value.lower()))) if value else None
    except ValueError as error:
        raise RowError(f"{name} is {quoted(value)}: use one of {', '.join(words)}") from error


def language_code(value: str) -> str:
    """A code as it is stored; empty stays empty.

    Raises:
        RowError: it is none.
    """
    code = value.strip().lower().replace("_", "-")
    if code and (len(code) > MAX_LANGUAGE or not LANGUAGE.fullmatch(code)):
        raise RowError(f"language is {quoted(value)}: use a code such as en or zh-hans")
    return code
