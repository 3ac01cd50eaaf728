"""What one annotator's work looks like beside that of their peers.

Everybody is held against the others alone: what somebody does is left out of what they are compared with. Rates
differ between helpfulness and safety, so the others' rate is taken in each focus and weighed by how much of each
this person did (direct standardisation). Several comparisons of one judgment with its peers are not independent: an
interval counts as many trials as the spread between judgments warrants (Kish 1965, design effect).

Knows judgments as numbers. Must not know rows, names, or what is odd about a figure (annotation.core.anomalies).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from annotation.core.grades import Choice, Focus, Grade, SafetyLabel
from annotation.core.shares import (
    Floats,
    Ints,
    Share,
    beside,
    change_of_logs,
    fair_coin_p,
    medians_of,
    medians_of_others,
    null_variance,
    or_none,
    rates,
    standardised,
    z_of,
)

LATE: Final = 1 / 3  # the part of somebody's work, the newest, that is held against the rest
LEAST_SECONDS: Final = 3.0  # nobody reads two responses in less
LEAST_PART: Final = 1 / 4  # of the others' usual time
PRACTISED: Final = 10  # timed pairs; people are slow with their first ones


@dataclass(frozen=True, slots=True)
class Deed:
    """One judgment that counts. Words are those of Choice, Grade, SafetyLabel and Focus; empty or None: not
    given. `left` is the choice that stood on the left, `len_a` and `len_b` count characters."""

    comparison: int
    annotator: int
    choice: str
    grade: str | None
    safety: str | None
    left: str | None
    active_ms: int | None
    len_a: int
    len_b: int
    at: datetime
    focus: str


@dataclass(frozen=True, slots=True)
class Use:
    """How often each word of a scale was used, strongest grade or safest label first.

    `distance` is the total variation between the two distributions, 0 to 1; `entropy` is in bits, 0 where it is
    always the same word. `shares` are held against the others' one by one.
    """

    shares: dict[str, Share]
    distance: float | None
    entropy: float


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds a pair by active time. `median` and `others` (the median of the medians of others who are
    PRACTISED, everybody counted once) are None where nothing was timed; `hasty` counts pairs under `floor`."""

    median: float | None
    others: float | None
    floor: float
    hasty: Share


@dataclass(frozen=True, slots=True)
class Drift:
    """The last third of somebody's work beside what came before.

    `early` and `late` are agreement with peers; their `others` are the others' at that time, so that a week of
    harder pairs is not held against anybody. `z` is this person's change less the others', `pace_z` the change of
    the logarithm of the seconds, both in standard errors; negative is less, and quicker.
    """

    early: Share
    late: Share
    z: float
    early_seconds: float | None
    late_seconds: float | None
    pace_z: float


@dataclass(frozen=True, slots=True)
class Conduct:
    """One annotator.

    `agreement`: trials are pairs of judgments, one by this person and one by another, on one comparison; a hit is
    the same choice. `ordinal`: the same on the scale of eight steps from A significantly better to B, where a hit
    counts 1 - (distance / 7)^2. `majority`: on comparisons where the other people have a majority, how often this
    person is with it. `left`: the response on the left was chosen; `left_p` is the exact two-sided probability of
    being that far from half, since the side is a fair coin. `longer`: the longer response was chosen; the others'
    is on the same comparisons where they judged them, else on all of the focus.
    """

    annotator: int
    judgments: int
    agreement: Share
    ordinal: Share
    majority: Share
    left: Share
    left_p: float
    longer: Share
    grades: Use
    labels: Use
    pace: Pace
    drift: Drift


def conduct_of(deeds: Sequence[Deed]) -> dict[int, Conduct]:
    """By annotator. Time is linear in the deeds but for sorting them.

    Raises:
        ValueError: somebody judged one comparison twice, and would be their own peer.
    """
    if not deeds:
        return {}
    work = _Work(deeds)
    left = work.shares(work.left == work.choice, work.left >= 0, None)
    left_p = [fair_coin_p(int(share.hits), share.trials) for share in left]
    columns = zip(
        work.people.tolist(),
        np.bincount(work.who).tolist(),
        *_agreement(work),
        left,
        left_p,
        _longer(work),
        _use(work, work.grade, Grade),
        _use(work, work.label, SafetyLabel),
        _pace(work),
        _drift(work),
        strict=True,
    )
    return {row[0]: Conduct(*row) for row in columns}


class _Work:
    """Deeds as columns in the order of time. `who`, `item` and `focus` count from 0; -1 is a word not given."""

    def __init__(self, deeds: Sequence[Deed]) -> None:
        order = np.lexsort(([d.comparison for d in deeds], [d.at.timestamp() for d in deeds]))
        deeds = [deeds[place] for place in order.tolist()]
        self.people, self.who = np.unique([d.annotator for d in deeds], return_inverse=True)
        _, self.item = np.unique([d.comparison for d in deeds], return_inverse=True)
        self.n = len(self.people)
        if len(np.unique(self.item * self.n + self.who)) < len(deeds):
            raise ValueError("somebody judged one comparison twice")
        self.focus = _codes([d.focus for d in deeds], Focus)
        self.choice = _codes([d.choice for d in deeds], Choice)
        self.left = _codes([d.left for d in deeds], Choice)
        self.grade = _codes([d.grade for d in deeds], Grade)
        self.label = _codes([d.safety for d in deeds], SafetyLabel)
        # An active time of 0 is none, as in annotation.core.progress.
        self.seconds = np.array([(d.active_ms or np.nan) / 1000 for d in deeds], dtype=np.float64)
        self.longer_is = np.sign([d.len_b - d.len_a for d in deeds])  # -1: A, 1: B
        self.peers = self.on_item(np.ones(len(deeds))) - 1
        self.same = _sums(self.item * 2 + self.choice, np.ones(len(deeds))) - 1

    def on_item(self, values: Any) -> Floats:
        """For each deed the sum over all deeds on its comparison."""
        return _sums(self.item, values)

    def by_focus(self, values: Any) -> Floats:
        """[P, F]: sums by person and focus."""
        shape = (self.n, len(Focus))
        sums = np.bincount(self.who * shape[1] + self.focus, values, shape[0] * shape[1])
        return sums.astype(np.float64).reshape(shape)

    def others(self, hits: Any, trials: Any, *, ends: int = 1) -> tuple[Floats, Floats]:
        """[P]: the others' rate and its variance. A pair of judgments has two `ends`, and is left out with
        either."""
        own_hits, own_trials = self.by_focus(hits), self.by_focus(trials)
        left_hits, left_trials = own_hits.sum(0) - ends * own_hits, own_trials.sum(0) - ends * own_trials
        return standardised(own_trials, left_hits, left_trials, left_trials / ends)

    def shares(self, hits: Any, trials: Any, others: tuple[Floats, Floats] | None) -> list[Share]:
        """Of each person, from what each deed adds. Without `others` they are held against a half."""
        hits = np.where(trials, hits, 0.0)
        own = rates(self.who, hits, trials, self.n)
        rate, variance = others or (np.full(self.n, 0.5), np.zeros(self.n))
        return beside(own, rate, variance)


def _agreement(work: _Work) -> tuple[list[Share], list[Share], list[Share]]:
    """Agreement, ordinal agreement, being with the majority."""
    pairs = work.shares(work.same, work.peers, work.others(work.same, work.peers, ends=2))
    graded = work.grade >= 0
    step = np.where(graded, np.where(work.choice == 0, work.grade, 7 - work.grade), 0).astype(np.float64)
    peers = np.where(graded, work.on_item(graded) - 1, 0)
    apart = peers * step**2 - 2 * step * (work.on_item(step) - step) + work.on_item(step**2) - step**2
    near = np.where(graded, peers - apart / 49, 0)
    ordinal = work.shares(near, peers, work.others(near, peers, ends=2))
    decided = 2 * work.same != work.peers
    follows = decided & (2 * work.same > work.peers)
    return pairs, ordinal, work.shares(follows, decided, work.others(follows, decided))


def _longer(work: _Work) -> list[Share]:
    told = work.longer_is != 0
    hits = told & ((work.longer_is > 0) == (work.choice == 1))
    own_hits, own_told = work.by_focus(hits), work.by_focus(told)
    left_hits, left_told = own_hits.sum(0) - own_hits, own_told.sum(0) - own_told
    elsewhere = np.divide(left_hits, left_told, out=np.full(left_hits.shape, np.nan), where=left_told > 0)
    here = np.divide(work.on_item(hits) - hits, work.peers, out=np.zeros(len(hits)), where=work.peers > 0)
    expected = np.where(work.peers > 0, here, elsewhere[work.who, work.focus])
    counted = np.bincount(work.who, told, work.n).astype(np.float64)
    rate = np.bincount(work.who, np.where(told, expected, 0.0), work.n) / np.maximum(counted, 1)
    rate[counted == 0] = np.nan
    # As if one peer stood beside each judgment; more make it smaller, and so does what both see in a pair.
    return work.shares(hits, told, (rate, null_variance(rate, counted)))


def _use(work: _Work, codes: Ints, words: type[Grade] | type[SafetyLabel]) -> list[Use]:
    given = codes >= 0
    by_word = [work.shares(codes == k, given, work.others(codes == k, given)) for k in range(len(words))]
    return [_use_of(dict(zip(map(str, words), shares, strict=True))) for shares in zip(*by_word, strict=True)]


def _use_of(shares: dict[str, Share]) -> Use:
    used = [share.value for share in shares.values() if share.value]
    is_known = all(share.trials and share.others is not None for share in shares.values())
    distance = sum(abs(share.excess) for share in shares.values()) / 2 if is_known else None
    return Use(shares, distance, abs(math.fsum(p * math.log2(p) for p in used)))


def _pace(work: _Work) -> list[Pace]:
    timed = ~np.isnan(work.seconds)
    medians = medians_of(work.who[timed], work.seconds[timed], work.n)
    counts = np.bincount(work.who[timed], minlength=work.n)
    others = medians_of_others(np.where(counts >= PRACTISED, medians, np.nan))
    floor = np.fmax(LEAST_SECONDS, others * LEAST_PART)
    hasty = timed & (work.seconds < floor[work.who])
    columns = (medians, others, floor)
    numbers = zip(*(column.tolist() for column in columns), strict=True)
    shares = work.shares(hasty, timed, work.others(hasty, timed))
    return [Pace(or_none(a), or_none(b), c, s) for (a, b, c), s in zip(numbers, shares, strict=True)]


def _drift(work: _Work) -> list[Drift]:
    late, cut = _windows(work.who, work.n)
    agreement, spread = [], []
    for mask, others in zip((~late, late), _others_then(work, late, cut), strict=True):
        own = rates(work.who, work.same * mask, work.peers * mask, work.n)
        agreement.append(beside(own, *others))
        spread.append((own.share - others[0], null_variance(others[0], own.effective) + others[1]))
    z = z_of(spread[1][0] - spread[0][0], spread[0][1] + spread[1][1])
    timed = ~np.isnan(work.seconds)
    seconds = [
        [or_none(median) for median in medians_of(work.who[mask], work.seconds[mask], work.n).tolist()]
        for mask in (timed & ~late, timed & late)
    ]
    pace_z = change_of_logs(work.who[timed], work.seconds[timed], late[timed], work.n)
    columns = zip(*agreement, z.tolist(), *seconds, pace_z.tolist(), strict=True)
    return [Drift(*row) for row in columns]


def _windows(who: Ints, people: int) -> tuple[NDArray[np.bool_], Ints]:
    """Which deeds are late, and [P] the first of each person's late ones; deeds are in the order of time."""
    counts = np.bincount(who, minlength=people)
    order = np.argsort(who, kind="stable")
    starts = counts.cumsum() - counts
    rank = np.empty(len(who), dtype=np.intp)
    rank[order] = np.arange(len(who)) - np.repeat(starts, counts)
    early = np.ceil(counts * (1 - LATE) - 1e-9).astype(np.intp)
    cut = order[np.minimum(starts + early, starts + counts - 1)]
    return rank >= early[who], cut


def _others_then(work: _Work, late: NDArray[np.bool_], cut: Ints) -> list[tuple[Floats, Floats]]:
    """The others' agreement before each person's cut and from it on. Their pairs with this person are among
    theirs, so a fall is found a little smaller than it is."""
    found = []
    for is_late in (False, True):
        mask = late == is_late
        own_trials = work.by_focus(work.peers * mask)
        sums = []
        for values, own in ((work.same, work.by_focus(work.same * mask)), (work.peers, own_trials)):
            running = np.stack([(values * (work.focus == f)).cumsum() for f in range(len(Focus))], axis=1)
            before = running[cut] - values[cut, None] * (work.focus[cut, None] == np.arange(len(Focus)))
            sums.append((running[-1] - before if is_late else before) - own)
        found.append(standardised(own_trials, sums[0], sums[1], sums[1] / 2))
    return found


def _sums(group: Ints, values: Any) -> Floats:
    """For each deed the sum over its group."""
    return np.bincount(group, values).astype(np.float64)[group]


def _codes(words: Sequence[str | None], kind: type[Choice | Grade | SafetyLabel | Focus]) -> Ints:
    place: dict[str | None, int] = {None: -1, "": -1, **{word: n for n, word in enumerate(kind)}}
    return np.array([place[word] for word in words], dtype=np.intp)
