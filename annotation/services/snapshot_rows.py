"""Reading sealed weeks, page by page: pairs in the order they were stored, and what was said of each.

Each page is two queries that begin after the last row of the page before. No transaction stays open and no cursor of
the server's is held, so that writing a large snapshot disturbs nobody, and memory is that of a few pages. Rows come as
tuples: a model instance costs more than all the rest. Rows that were stored together are read together; in the order
of their keys, which are hashes, each would be looked up alone (annotation.services.snapshot_order sorts them later).
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from django.db import connection
from django.db.models import Q, QuerySet, TextField
from django.db.models.functions import Cast

from annotation.core.recipe import Recipe
from annotation.core.states import ComparisonState
from annotation.models import Batch, Comparison, Judgment, Prompt, User

PAGE: Final = 2_000  # pairs; more are no faster
AHEAD: Final = 1  # pages that may wait to be used
KEPT: Final = tuple(state for state in ComparisonState if state is not ComparisonState.WITHDRAWN)

PAIR: Final = (
    "pk",
    "key",
    "focus",
    "dialogue__key",
    "turns",
    "dialogue__prompt__key",
    "dialogue__prompt__split",
    "response_a__text",
    "response_a__policy",
    "response_b__text",
    "response_b__policy",
)
VOTE: Final = ("comparison_id", "name", "annotator_id", "guideline_id", "choice", "grade", "safety", "source")

# What one judgment says, in the words of the database: choice, grade, label, source; "" is nothing said.
Said = tuple[str, str, str, str]
Pair = tuple[Any, ...]
T = TypeVar("T")


@dataclass(slots=True)
class Page:
    """Pairs, each as the columns of PAIR, and by primary key what was said of them, in the order of the uids."""

    pairs: list[Pair]
    said: dict[int, tuple[Said, ...]]


@dataclass(slots=True)
class Source:
    """The sealed weeks of a recipe. On the way it notes who said something and under which guidelines."""

    recipe: Recipe
    batches: Sequence[Batch]
    people: set[int] = field(default_factory=set)
    guidelines: set[int | None] = field(default_factory=set)

    def in_order(self) -> list[Batch]:
        return sorted(self.batches, key=lambda batch: batch.number)

    def pages(self, batch: Batch) -> Iterator[Page]:
        without = left_out(self.recipe)
        return ahead(lambda: self._pages(batch, without))

    def _pages(self, batch: Batch, without: list[int]) -> Iterator[Page]:
        for pairs in pairs_of(batch, self.recipe):
            rows = judgments_between(pairs[0][0], pairs[-1][0], without).values_list(*VOTE)
            found: dict[int, list[tuple[str, Said]]] = {pair[0]: [] for pair in pairs}
            for row in rows:
                if row[0] not in found:
                    continue  # of a pair between them that the recipe does not take
                self.people.add(row[2])
                self.guidelines.add(row[3])
                found[row[0]].append((row[1], row[4:]))
            yield Page(pairs, {pk: _in_order(votes) for pk, votes in found.items() if votes})


def _in_order(votes: list[tuple[str, Said]]) -> tuple[Said, ...]:
    """By uid, which a judgment keeps wherever it is stored."""
    if len(votes) > 1:
        votes.sort()
    return tuple(said for _, said in votes)


def pairs_of(batch: Batch, recipe: Recipe) -> Iterator[list[Pair]]:
    """Pages of what the recipe takes of a week, each by primary key; the index of a week is by state first."""
    # As text: what the driver makes of JSON is of no use, and costs.
    rows = chosen(batch, recipe).annotate(turns=Cast("dialogue__messages", TextField())).order_by("pk")
    for state in KEPT:
        after = 0
        while page := list(rows.filter(state=state, pk__gt=after).values_list(*PAIR)[:PAGE]):
            yield page
            after = page[-1][0]


def chosen(batch: Batch, recipe: Recipe) -> QuerySet[Comparison]:
    """The pairs of a week that a recipe takes, whatever was said of them. Attention checks are none."""
    rows = Comparison.objects.ordinary().filter(batch=batch).exclude(state=ComparisonState.WITHDRAWN)
    if recipe.focuses:
        rows = rows.filter(focus__in=recipe.focuses)
    if recipe.languages:
        rows = rows.filter(language__in=recipe.languages)
    if recipe.categories:
        words = recipe.categories
        rows = rows.filter(Q(dialogue__prompt__category__in=words) | Q(dialogue__prompt__risk__in=words))
    if recipe.without_prompts:
        rows = rows.exclude(dialogue__prompt__in=Prompt.objects.filter(key__in=recipe.without_prompts))
    return rows


def judgments_between(first: int, last: int, without: Sequence[int]) -> QuerySet[Judgment]:
    """What counts of the pairs from one primary key to another, whoever's they are, without what some people said.
    `name` is the uid as text."""
    rows = Judgment.objects.effective().filter(comparison_id__gte=first, comparison_id__lte=last)
    rows = rows.exclude(annotator_id__in=without) if without else rows
    return rows.annotate(name=Cast("uid", TextField()))


def left_out(recipe: Recipe) -> list[int]:
    """Primary keys of the people whose judgments the recipe leaves out."""
    if not recipe.without_annotators:
        return []
    return list(User.objects.filter(pseudonym__in=recipe.without_annotators).values_list("pk", flat=True))


def votes_of(recipe: Recipe, batches: Sequence[Batch]) -> Iterator[tuple[int, int, str]]:
    """(comparison, annotator, choice) of every judgment that counts: what Dawid and Skene ask for."""
    rows = Judgment.objects.counting().filter(comparison__batch__in=batches)
    rows = rows.exclude(annotator_id__in=left_out(recipe)).order_by("pk")
    columns = rows.values_list("pk", "comparison_id", "annotator_id", "choice")
    after = 0
    while page := list(columns.filter(pk__gt=after)[: 10 * PAGE]):
        for _, comparison, annotator, choice in page:
            yield comparison, annotator, choice
        after = page[-1][0]


def ahead(make: Callable[[], Iterator[T]]) -> Iterator[T]:
    """The same, read by another thread over a connection of its own, so that the database works on the next page
    while this thread works on the last.

    Not inside a transaction, whose rows another connection does not see; nor where there is no server, since then
    nobody else does the work.
    """
    if connection.in_atomic_block or connection.vendor != "postgresql":
        yield from make()
        return
    pages: queue.Queue[T | BaseException | None] = queue.Queue(AHEAD)
    stopped = threading.Event()
    reader = threading.Thread(target=_read, args=(make, pages, stopped), name="snapshot reader", daemon=True)
    reader.start()
    try:
        while (page := pages.get()) is not None:
            if isinstance(page, BaseException):
                raise page
            yield page
    finally:
        stopped.set()
        while reader.is_alive():
            _drop(pages)
            reader.join(0.05)


def _read(make: Callable[[], Iterator[T]], pages: queue.Queue[Any], stopped: threading.Event) -> None:
    try:
        with connection.cursor() as cursor:
            # Starting helpers takes longer than a page does.
            cursor.execute("SET max_parallel_workers_per_gather = 0")
        for page in make():
            pages.put(page)
            if stopped.is_set():
                break
        pages.put(None)
    except BaseException as error:  # noqa: BLE001  raised again in the thread that reads the queue
        pages.put(error)
    finally:
        connection.close()


def _drop(pages: queue.Queue[Any]) -> None:
    while not pages.empty():
        pages.get_nowait()
