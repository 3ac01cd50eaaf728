"""Ratings from a file of comma-separated values that anybody may have made.

Knows rows, columns and cells. Must not know coefficients. What cannot be read as meant is refused with its line; what
was read in a way that somebody might not expect is said in a note.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final

from annotation.core.agreement.tables import BadRatings, Ratings
from annotation.core.agreement.weights import Category, are_numbers

ITEM_COLUMNS: Final = {"", "item", "items", "item_id", "unit", "units", "unit_id", "subject", "id"}
MISSING_WORDS: Final = {"na", "n/a", "#n/a", "nan", "null", "none", "nil", "missing", "-", ".", "?"}
_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
_QUOTED: Final = re.compile(r'"[^"]*"')

Row = tuple[int, list[str]]  # the line it ends on, and its cells without blanks at their ends


@dataclass(frozen=True, eq=False)
class Read:
    """What a file holds, and what its owner may want to know of the reading."""

    ratings: Ratings
    notes: tuple[str, ...] = ()


def read_ratings(
    lines: Iterable[str], *, categories: Sequence[str] = (), missing: Collection[str] = ()
) -> Read:
    """From a header of raters' names and then a row an item: a column a rater, an empty cell no rating.

    Cells that are all numbers are numbers, so that 1 and 1.0 are one category; otherwise they are text. A first
    column that is headed like an item's name or by nothing is no rater. Raises `BadRatings` with the line.
    """
    rows = _rows(lines)
    header = next(rows, None)
    if header is None:
        raise BadRatings("the file is empty: its first row names the raters, every further row is an item")
    first, raters = _raters(header)
    cells: list[tuple[int, str, str]] = []
    where: dict[str, str] = {}
    empty_items = 0
    for item, (line, row) in enumerate(_checked(rows, len(header[1]), has_names=bool(first))):
        given = zip(raters, row[first:], strict=True)
        rated = [(name, cell) for name, cell in given if cell and cell not in missing]
        empty_items += not rated
        for name, cell in rated:
            where.setdefault(cell, f"line {line}, {name}")
            cells.append((item, name, cell))
    values, known, notes = _values(where, categories)
    ratings = Ratings.from_rows(((item, name, values[cell]) for item, name, cell in cells), known)
    busy = {name for _, name, _ in cells}
    idle = [name for name in raters if name not in busy]
    return Read(
        ratings,
        (
            *_of_columns(header[1], first),
            *notes,
            *_left_out(empty_items, idle),
            *(_of_order(ratings.categories) if known is None else ()),
        ),
    )


def read_table(lines: Iterable[str], *, categories: Sequence[str] = ()) -> Read:
    """From two raters' contingency table of counts: a row a category of the one, a column a category of the other.

    A header names the categories, and so may a first column beside it; without a header they are `categories`, or
    1 … q. Raises `BadRatings` with the line.
    """
    rows = list(_rows(lines))
    if not rows:
        raise BadRatings("the file is empty: it should hold a table of counts")
    names = list(categories)
    if len(rows) != len(rows[0][1]) or not all(map(str.isdecimal, rows[0][1])):
        names, rows = _without_names(rows)
        if categories and list(categories) != names:
            raise BadRatings(f"the header names the categories {', '.join(names)}: leave --categories out")
    counts = [[_count(line, cell) for cell in row] for line, row in rows]
    as_number = all(map(_is_number, names))
    return Read(Ratings.from_table(counts, [_value(name, as_number=as_number) for name in names] or None))


def _rows(lines: Iterable[str]) -> Iterator[Row]:
    """Rows that are not blank. Commas separate, or what the first line has most of: semicolons, tabs."""
    source = iter(lines)
    first = next(source, "")
    bare = _QUOTED.sub("", first)
    separator = max((",", ";", "\t"), key=bare.count)
    reader = csv.reader((line + "\n" for line in chain([first], source)), delimiter=separator, strict=True)
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if any(cells) or len(cells) > 1:
                yield reader.line_num, cells
    except csv.Error as error:
        raise BadRatings(f"line {reader.line_num}: {error}; check the quotation marks") from error


def _raters(header: Row) -> tuple[int, list[str]]:
    """The first rater's column, and the raters' names."""
    line, names = header
    first = int(names[0].lower() in ITEM_COLUMNS)
    raters = names[first:]
    if not raters:
        raise BadRatings(f"line {line}: no column names a rater")
    seen: set[str] = set()
    for column, name in enumerate(raters, start=first + 1):
        if not name:
            raise BadRatings(f"line {line}: column {column} has no name: name its rater or remove it")
        if name in seen:
            raise BadRatings(
                f"line {line}: two columns are called {name!r}; the first row names the raters, each once"
            )
        seen.add(name)
    return first, raters


def _checked(rows: Iterable[Row], width: int, *, has_names: bool) -> Iterator[Row]:
    """Rows of one width, and of items that stand in one row each where they have names."""
    seen: dict[str, int] = {}
    for line, row in rows:
        if len(row) != width:
            raise BadRatings(
                f"line {line}: {len(row)} cells where the header has {width}; a missing rating is an empty cell"
                " between its separators"
            )
        if has_names and row[0] and seen.setdefault(row[0], line) != line:
            raise BadRatings(
                f"line {line}: item {row[0]!r} stands on line {seen[row[0]]} already; an item has one row, with a"
                " column for each rater"
            )
        yield line, row


def _values(
    where: dict[str, str], categories: Sequence[str]
) -> tuple[dict[str, Category], list[Category] | None, list[str]]:
    """What each text in the cells stands for, all categories in order where they are given, and notes.

    `where` says of each text where it occurs first.
    """
    if categories:
        return *_chosen(where, categories), []
    odd = [text for text in where if not _is_number(text)]
    suspects = [text for text in odd if text.lower() in MISSING_WORDS]
    notes = [
        f"{text!r} ({where[text]}) is read as a category. If it means no rating: --missing {text}"
        for text in suspects
    ]
    if odd and len(odd) < len(where):
        if suspects == odd:
            raise BadRatings(
                f"{where[odd[0]]}: {odd[0]!r} is no number, as the other ratings are. If it means that there is no"
                f" rating, say --missing {','.join(odd)}; if it is a category, name all of them with --categories"
            )
        notes.append(f"The categories are read as text, for {odd[0]!r} ({where[odd[0]]}) is no number.")
    return {text: _value(text, as_number=not odd) for text in where}, None, notes


def _chosen(where: dict[str, str], categories: Sequence[str]) -> tuple[dict[str, Category], list[Category]]:
    as_number = all(map(_is_number, categories))
    known = [_value(text, as_number=as_number) for text in categories]
    values = {text: _value(text, as_number=as_number and _is_number(text)) for text in where}
    for text, value in values.items():
        if value not in known:
            raise BadRatings(f"{where[text]}: {text!r} is none of the categories {', '.join(categories)}")
    return values, known


def _without_names(rows: list[Row]) -> tuple[list[str], list[Row]]:
    """The categories that header and first column name, and the rows of counts alone."""
    (_, header), *body = rows
    if len(header) != len(rows):
        return header, body
    names = header[1:]
    if [row[0] for _, row in body] != names:
        raise BadRatings("the first column must name the same categories as the header, in the same order")
    return names, [(line, row[1:]) for line, row in body]


def _is_number(text: str) -> bool:
    return _NUMBER.fullmatch(text) is not None and abs(float(text)) != float("inf")


def _value(text: str, *, as_number: bool) -> Category:
    if not as_number:
        return text
    number = float(text)
    return int(number) if number.is_integer() else number


def _count(line: int, cell: str) -> int:
    if not cell.isdecimal() or len(cell) > 9:
        raise BadRatings(f"line {line}: {cell!r} is no count of items")
    return int(cell)


def _of_columns(header: Sequence[str], first: int) -> Iterator[str]:
    if first:
        name = f", {header[0]!r}," if header[0] else ""
        yield f"The first column{name} is read as the items' names, not as a rater."
    if all(map(_is_number, header[first:])):
        yield f"The first row is read as the raters' names: {', '.join(header[first:])}."


def _left_out(empty_items: int, idle: Sequence[str]) -> Iterator[str]:
    if empty_items:
        yield f"Items without any rating, left out: {empty_items}."
    if idle:
        yield f"Raters without any rating, left out: {', '.join(idle)}."


def _of_order(categories: Sequence[Category]) -> Iterator[str]:
    if len(categories) > 2 and not are_numbers(categories):
        yield (
            "The categories are text and taken in the order of the alphabet, on which all depends but identity"
            " weights and the nominal metric: give theirs with --categories."
        )
