"""Near-duplicate prompts: found as they come in, and kept on one side of the hold-out.

The law: of two prompts whose similarity reaches sketches.THRESHOLD never is one TRAIN and the other TEST. It follows
from two statements about linked prompts, where placed means of any split but NEITHER:

1. Placed near-duplicates of each other belong to one cluster.
2. The placed prompts of a cluster have one split.

Prompts are linked one after the other. Where the placed near-duplicates of a new one stand on one side at most, their
clusters and it become one cluster with that side, so both statements hold with it. Where they stand on both, it becomes
NEITHER, and the statements do not speak of it: what is frozen keeps its side, and the newcomer's examples become no
data. A prompt that resembles such a one asks its own placed near-duplicates alone. Sealing draws whole clusters
(services.holdout), and a side is never changed but to NEITHER. Linking holds a lock until its transaction ends, so
nobody links against a past that lacks somebody else's newcomers. A prompt that was stored before there were bands is
linked before the next hold-out is drawn, as if it came then.

The law is as sure as the search for candidates is (annotation.sketches).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Final

import numpy as np
from django.db import connection, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from annotation.models import Prompt, PromptBand
from annotation.services.locks import lock_linking
from annotation.sketches import THRESHOLD, Crowd, Names, Shingles, bands, hashed, jaccard, sharing

CHUNK: Final = 500
TERMS: Final = 16_000  # of one statement: half a megabyte, which SQLite takes
TABLE: Final = PromptBand._meta.db_table
NEITHER: Final = Prompt.Split.NEITHER.value
NOBODY: Final = np.array([], dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Near:
    """Two prompts, by primary key, whose similarity reaches the threshold; `prompt` came later."""

    prompt: int
    other: int
    similarity: float


@transaction.atomic(savepoint=False)
def insert_prompts(*, prompts: Iterable[Prompt]) -> list[Near]:
    """Store those prompts whose keys are new, and link them. Every new prompt comes in here."""
    rows = {prompt.key: prompt for prompt in prompts}
    known = set(Prompt.objects.filter(key__in=rows).values_list("key", flat=True))
    fresh = [prompt for key, prompt in rows.items() if key not in known]
    if not fresh:
        return []
    lock_linking()  # before the rows: else two that bring the same prompt could wait for each other
    Prompt.objects.bulk_create(fresh, ignore_conflicts=True)
    return _link(_unlinked().filter(key__in=[prompt.key for prompt in fresh]))


@transaction.atomic
def link_near_duplicates() -> list[Near]:
    """Link all prompts that are not linked yet: those stored before there were bands."""
    lock_linking()
    found: list[Near] = []
    while chunk := list(_unlinked()[:CHUNK]):
        found += _link(chunk)
    return found


def near_prompts(*, text: str, most: int = 5) -> list[tuple[Prompt, float]]:
    """The stored prompts that `text` is a near-duplicate of, the closest first, with their similarity."""
    (own,) = hashed([text])
    digests = bands([own])[0]
    candidates = sharing({0: digests}, _holders(digests))[0]
    prompts = list(Prompt.objects.filter(pk__in=candidates.tolist()))
    others = hashed([prompt.text for prompt in prompts])
    found = [(prompt, jaccard(own, other)) for prompt, other in zip(prompts, others, strict=True)]
    return sorted((pair for pair in found if pair[1] >= THRESHOLD), key=lambda pair: (-pair[1], pair[0].pk))[
        :most
    ]


def _unlinked() -> QuerySet[Prompt]:
    return Prompt.objects.filter(~Exists(PromptBand.objects.filter(prompt=OuterRef("pk")))).order_by("pk")


def _link(prompts: Iterable[Prompt]) -> list[Near]:
    """Link prompts in their order, under the lock."""
    chunk = list(prompts)
    sets = hashed([prompt.text for prompt in chunk])
    digests = dict(zip((prompt.pk for prompt in chunk), bands(sets), strict=True))
    _store(digests)
    candidates = sharing(digests, _holders(chain.from_iterable(digests.values())))
    named = set(np.concatenate([*candidates.values(), NOBODY]).tolist())
    older = list(Prompt.objects.filter(pk__in=named - digests.keys()))
    clusters = _Clusters([*chunk, *older], [*sets, *hashed([prompt.text for prompt in older])], len(chunk))
    found = [near for row, prompt in enumerate(chunk) for near in clusters.place(row, candidates[prompt.pk])]
    clusters.write()
    return found


def _store(digests: Mapping[int, Sequence[int]]) -> None:
    rows = (f"({pk},{band},{digest})" for pk, own in digests.items() for band, digest in enumerate(own))
    with connection.cursor() as cursor:
        for values in _batches(rows):
            cursor.execute(f"INSERT INTO {TABLE} (prompt_id, band, digest) VALUES {values}")  # noqa: S608


def _holders(digests: Iterable[int]) -> list[tuple[int, int]]:
    """Each of the digests with each linked prompt that has such a band."""
    held: list[tuple[int, int]] = []
    with connection.cursor() as cursor:
        for wanted in _batches(map(str, dict.fromkeys(digests))):
            cursor.execute(f"SELECT digest, prompt_id FROM {TABLE} WHERE digest IN ({wanted})")  # noqa: S608
            held += cursor.fetchall()
    return held


def _batches(terms: Iterable[str]) -> Iterator[str]:
    """Whole numbers as SQL. With 32 rows a prompt, objects and parameters would take most of the time of an import."""
    rest = iter(terms)
    while batch := ",".join(islice(rest, TERMS)):
        yield batch


class _Clusters:
    """Clusters as they become while a chunk is linked, each named by the primary key of its oldest prompt."""

    def __init__(self, prompts: Sequence[Prompt], sets: Sequence[Shingles], waiting: int) -> None:
        """The first `waiting` prompts are the chunk, still to be placed; the others are linked."""
        self.prompts = prompts
        self.sets = sets
        self.crowd = Crowd(sets)
        self.rows = {prompt.pk: row for row, prompt in enumerate(prompts)}
        self.placed = np.array([row >= waiting and p.split != NEITHER for row, p in enumerate(prompts)])
        self.before = np.array([p.cluster_id or p.pk for p in prompts], dtype=np.int64)
        self.heads = self.before.copy()
        self.sides = {p.cluster_id or p.pk: p.split for p in prompts if p.split != NEITHER}
        self.grown: list[int] = []  # rows
        self.neither: list[int] = []  # primary keys

    def place(self, row: int, candidates: Names) -> list[Near]:
        """Give a prompt of the chunk its cluster; returns one near-duplicate of each cluster that it met."""
        prompt = self.prompts[row]
        if prompt.split == NEITHER:
            return []
        met = self._met(row, candidates)
        heads = {int(self.heads[other]) for other in [row, *met]}
        sides = {self.sides[head] for head in heads if self.sides[head]}
        if len(sides) > 1:
            self.neither.append(prompt.pk)
        else:
            self.placed[row] = True
            if met:
                self._merge(row, heads, next(iter(sides), ""))
        return [Near(prompt.pk, self.prompts[other].pk, similarity) for other, similarity in met.items()]

    def _met(self, row: int, candidates: Names) -> dict[int, float]:
        """Near-duplicates with their similarity, one of each cluster: so that a prompt that is repeated a thousand
        times costs one comparison."""
        rows = np.array([self.rows[pk] for pk in candidates.tolist()], dtype=np.intp)
        likely = self.crowd.resembling(row, rows[self.placed[rows]])
        met = {}
        while likely.size:
            other = int(likely[0])
            similarity = jaccard(self.sets[row], self.sets[other])
            if similarity >= THRESHOLD:
                met[other] = similarity
                likely = likely[self.heads[likely] != self.heads[other]]
            else:
                likely = likely[1:]
        return met

    def _merge(self, row: int, heads: set[int], side: str) -> None:
        oldest = min(heads)
        self.heads[np.isin(self.heads, list(heads))] = oldest
        self.sides[oldest] = side
        self.grown.append(row)

    def write(self) -> None:
        joined = defaultdict(set)
        for row in np.flatnonzero(self.heads != self.before):
            joined[int(self.heads[row])].add(int(self.before[row]))
        for oldest, heads in joined.items():
            _members(heads).update(cluster=oldest)
        grown = {int(head) for head in self.heads[self.grown]}
        for side in (Prompt.Split.TRAIN, Prompt.Split.TEST):
            sided = _members({head for head in grown if self.sides[head] == side})
            sided.filter(split=Prompt.Split.UNDRAWN).update(split=side)
        Prompt.objects.filter(pk__in=self.neither).update(split=NEITHER)


def _members(heads: Collection[int]) -> QuerySet[Prompt]:
    return Prompt.objects.filter(Q(pk__in=heads) | Q(cluster__in=heads))
