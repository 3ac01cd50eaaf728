"""Ratings: which rater put which item into which category.

Knows items, raters and categories as numbers. Must not know what is rated, nor where it is stored. Ratings are
kept in long form, one entry a rating, so that two hundred raters with three ratings an item cost no empty cells.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from annotation.core.agreement.weights import Category, are_numbers

MOST_CATEGORIES: Final = 1_000
LARGEST: Final = 1e100  # so that squares of differences stay finite
MOST_IN_A_TABLE: Final = 10_000_000


class BadRatings(ValueError):  # noqa: N818  (the name reads as the finding it is)
    """These are no ratings to compute with; the message says which and why."""


@dataclass(frozen=True, eq=False)
class Ratings:
    """N ratings of `items` items by `raters` raters. Every item and every rater has at least one.

    `item`, `rater` and `code` have shape (N,); `code` counts in `categories`, which are in order.
    """

    items: int
    raters: int
    item: NDArray[np.int64]
    rater: NDArray[np.int64]
    code: NDArray[np.int64]
    categories: tuple[Category, ...]
    is_table: bool = False  # two raters' contingency table, whose published variances divide by n, not n - 1

    @classmethod
    def from_rows(
        cls,
        rows: Iterable[tuple[Hashable, Hashable, Category]],
        categories: Sequence[Category] | None = None,
    ) -> Self:
        """From (item, rater, category) in any order.

        Without `categories` they are those that occur: numbers by size, text by the alphabet. Those given stay in
        their order, but numbers always go by size. Raises `BadRatings` where a rater rates an item twice, or a
        category is none of those given.
        """
        item_at: dict[Hashable, int] = {}
        rater_at: dict[Hashable, int] = {}
        code_at: dict[Category, int] = {}
        packed = np.fromiter(
            (
                place
                for item, rater, category in rows
                for place in (
                    item_at.setdefault(item, len(item_at)),
                    rater_at.setdefault(rater, len(rater_at)),
                    code_at.setdefault(category, len(code_at)),
                )
            ),
            dtype=np.int64,
        ).reshape(-1, 3)
        order = _in_order(code_at, categories)
        place_of = {category: place for place, category in enumerate(order)}
        places = np.array([place_of[category] for category in code_at], dtype=np.int64)
        item, rater, code = packed[:, 0].copy(), packed[:, 1].copy(), places[packed[:, 2]]
        _refuse_repeats(item, rater, list(item_at), list(rater_at))
        return cls(len(item_at), len(rater_at), item, rater, code, order)

    @classmethod
    def from_matrix(
        cls, matrix: Iterable[Sequence[Category | None]], categories: Sequence[Category] | None = None
    ) -> Self:
        """From a row an item and a column a rater; None or NaN is no rating."""
        return cls.from_rows(
            (
                (i, g, cell)
                for i, row in enumerate(matrix)
                for g, cell in enumerate(row)
                if cell is not None and cell == cell  # noqa: PLR0124  (NaN alone differs from itself)
            ),
            categories,
        )

    @classmethod
    def from_table(cls, table: Sequence[Sequence[int]], categories: Sequence[Category] | None = None) -> Self:
        """From counts, shape (q, q): in row k and column l the items that one rater put into k, the other into l.

        Categories are in the order of rows and columns, 1 … q where none are named; numbers must rise.
        """
        counts = _checked_table(table)
        names = tuple(range(1, len(counts) + 1)) if categories is None else tuple(categories)
        if len(names) != len(counts):
            raise BadRatings(f"the table has {len(counts)} rows and {len(names)} categories")
        if _in_order(names, names) != names:
            raise BadRatings("the categories of a table are numbers, so they must rise")
        cells = np.repeat(np.arange(counts.size), counts.ravel())
        n = len(cells)
        return cls(
            items=n,
            raters=2 if n else 0,
            item=np.tile(np.arange(n), 2),
            rater=np.repeat(np.arange(2), n),
            code=np.concatenate([cells // len(names), cells % len(names)]),
            categories=names,
            is_table=True,
        )

    @cached_property
    def paired(self) -> Ratings:
        """The items with two ratings or more; the categories stay all of them."""
        keep = self.sizes >= 2
        if keep.all():
            return self
        inside = keep[self.item]
        left, rater = np.unique(self.rater[inside], return_inverse=True)
        return Ratings(
            items=int(keep.sum()),
            raters=len(left),
            item=(np.cumsum(keep) - 1)[self.item[inside]],
            rater=rater.astype(np.int64),
            code=self.code[inside],
            categories=self.categories,
            is_table=self.is_table,
        )

    @cached_property
    def counts(self) -> NDArray[np.float64]:
        """How many raters put each item into each category, shape (items, q)."""
        q = len(self.categories)
        flat = np.bincount(self.item * q + self.code, minlength=self.items * q)
        return flat.reshape(self.items, q).astype(np.float64)

    @cached_property
    def sizes(self) -> NDArray[np.float64]:
        """How many ratings each item has, shape (items,)."""
        return np.bincount(self.item, minlength=self.items).astype(np.float64)

    @cached_property
    def shares(self) -> NDArray[np.float64]:
        """The share of each item's ratings in each category, shape (items, q)."""
        shares: NDArray[np.float64] = self.counts / self.sizes[:, None]
        return shares

    @cached_property
    def rater_shares(self) -> NDArray[np.float64]:
        """The share of each rater's ratings in each category, shape (raters, q)."""
        q = len(self.categories)
        flat = np.bincount(self.rater * q + self.code, minlength=self.raters * q).reshape(self.raters, q)
        shares: NDArray[np.float64] = flat / flat.sum(axis=1, keepdims=True)
        return shares


def _in_order(found: Collection[Category], given: Sequence[Category] | None) -> tuple[Category, ...]:
    if any(category != category for category in found):  # noqa: PLR0124  (NaN alone differs from itself)
        raise BadRatings("NaN is no category")
    known = list(found if given is None else given)
    if len(known) > MOST_CATEGORIES:
        raise BadRatings(f"{len(known):,} categories are too many: at most {MOST_CATEGORIES:,}")
    if len(set(known)) < len(known):
        raise BadRatings("a category is named twice")
    if strange := [category for category in found if given is not None and category not in known]:
        raise BadRatings(f"{strange[0]!r} is none of the categories {', '.join(map(str, known))}")
    if are_numbers(known):
        if any(not -LARGEST <= float(number) <= LARGEST for number in known):
            raise BadRatings(f"numbers must lie between -{LARGEST:g} and {LARGEST:g}")
        return tuple(sorted(known, key=float))
    return tuple(sorted(known, key=str)) if given is None else tuple(known)


def _refuse_repeats(
    item: NDArray[np.int64], rater: NDArray[np.int64], items: list[Hashable], raters: list[Hashable]
) -> None:
    pairs = np.sort(item * len(raters) + rater)
    again = pairs[1:][pairs[1:] == pairs[:-1]]
    if len(again):
        i, g = divmod(int(again[0]), len(raters))
        raise BadRatings(f"rater {raters[g]!r} rates item {items[i]!r} more than once")


def _checked_table(table: Sequence[Sequence[int]]) -> NDArray[np.int64]:
    if not table or any(len(row) != len(table) for row in table):
        raise BadRatings("a table of two raters has as many rows as columns")
    cells = np.array(table, dtype=np.float64)
    if not np.isfinite(cells).all() or (cells < 0).any() or (cells != np.floor(cells)).any():
        raise BadRatings("a table of two raters holds whole numbers from 0 upwards")
    if cells.sum() > MOST_IN_A_TABLE:
        raise BadRatings(f"the table counts more than {MOST_IN_A_TABLE:,} items")
    return cells.astype(np.int64)
