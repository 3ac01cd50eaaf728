"""How the people of a batch work beside each other, and who stands out.

Knows rows; figures are annotation.core.conduct's, sentences annotation.core.anomalies'. Imported judgments carry no
times of their own: whoever made them has neither pace nor drift.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from django.db.models import Count, Q
from django.db.models.functions import Length

from annotation.core.anomalies import FEWEST, Anomaly, AnomalyKind, anomalies_of, house_of
from annotation.core.conduct import Conduct, Deed, conduct_of
from annotation.core.dawid_skene import fit
from annotation.core.grades import Choice, Grade
from annotation.core.shares import Share, beside, rates
from annotation.core.states import ComparisonState
from annotation.models import Batch, Comparison, GoldMark, Judgment, User
from annotation.quality import counted, people_in, said_in
from annotation.quality_couples import Couples, couples_of
from annotation.quality_figures import Said

FEWEST_MET: Final = 5  # pairs shared with this person, before a peer has a row on their page
_NEEDS_TIMES: Final = {AnomalyKind.PACE, AnomalyKind.DRIFT, AnomalyKind.HASTE}


@dataclass(frozen=True, slots=True)
class Worker:
    """One annotator of a batch.

    `accuracy` is how often they are right as Dawid and Skene estimate it, None where nobody judged what they did.
    Of the `checks` that they answered in this batch `checks_right` were as expected. `has_times`: none of their
    judgments was imported.
    """

    user: User
    conduct: Conduct
    anomalies: list[Anomaly]
    accuracy: float | None
    checks: int
    checks_right: int
    has_times: bool

    @property
    def is_known(self) -> bool:
        """Whether there is enough to set them beside the others."""
        return self.conduct.judgments >= FEWEST and self.conduct.agreement.trials > 0


def workers_of(batch: Batch) -> list[Worker]:
    """Everybody who judged: those of whom enough is known, the worst first; then the others, those with most judgments
    first."""
    deeds, imported = _deeds(batch)
    conducts = conduct_of(deeds)
    house = house_of(conducts)
    accuracies = _accuracies(deeds)
    checks = _checks(batch)
    people = people_in(batch)
    found = []
    for pk, conduct in conducts.items():
        has_times = pk not in imported
        odd = [one for one in anomalies_of(conduct, house) if has_times or one.kind not in _NEEDS_TIMES]
        accuracy = accuracies[pk] if conduct.agreement.trials else None
        found.append(Worker(people[pk], conduct, odd, accuracy, *checks.get(pk, (0, 0)), has_times=has_times))
    return sorted(found, key=_worst_first)


def standing_out(workers: Sequence[Worker]) -> list[Worker]:
    """Of whom something is said, whoever is warned of first."""
    odd = [worker for worker in workers if worker.anomalies]
    return sorted(odd, key=lambda worker: worker.anomalies[0].severity == "notice")


@dataclass(frozen=True, slots=True)
class GradeGiven:
    """What others chose where this person gave a grade; trials are pairs of judgments, a hit is the same choice."""

    grade: Grade
    judgments: int
    agreement: Share


@dataclass(frozen=True, slots=True)
class Portrait:
    """One worker among all, with what takes a closer look. Of the `known`, of whom there is enough to say, they are
    number `place`, counted from the worst."""

    worker: Worker
    place: int
    known: int
    grades: list[GradeGiven]
    couples: Couples
    people: dict[int, User]


def portrait_of(batch: Batch, user_id: int) -> Portrait | None:
    """None: they judged nothing in the batch."""
    workers = workers_of(batch)
    place = next((n for n, worker in enumerate(workers) if worker.user.pk == user_id), None)
    if place is None:
        return None
    said = said_in(batch)
    return Portrait(
        worker=workers[place],
        place=place + 1,
        known=sum(worker.is_known for worker in workers),
        grades=grades_given(said, user_id),
        couples=couples_of(said, fewest=FEWEST_MET, person=user_id),
        people={worker.user.pk: worker.user for worker in workers},
    )


def grades_given(said: Said, person: int) -> list[GradeGiven]:
    """One row a grade, strongest first; none where nothing was graded."""
    first, second = said.meetings
    same = said.choice[first] == said.choice[second]
    peers = np.repeat(said.sizes, said.sizes) - 1
    hits = np.bincount(first, same, len(said)) + np.bincount(second, same, len(said))
    theirs = (said.person == person) & (said.rank >= 0)
    rank = said.rank[theirs]
    own = rates(rank, hits[theirs], peers[theirs], len(Grade))
    shares = beside(own, np.full(len(Grade), np.nan), np.zeros(len(Grade)))
    given = np.bincount(rank, minlength=len(Grade)).tolist()
    return [GradeGiven(*row) for row in zip(Grade, given, shares, strict=True)] if len(rank) else []


def _deeds(batch: Batch) -> tuple[list[Deed], set[int]]:
    """What everybody did, and who of them did some of it elsewhere."""
    pairs = Comparison.objects.ordinary().filter(batch=batch).exclude(state=ComparisonState.WITHDRAWN)
    lengths = {
        pk: (a, b)
        for pk, a, b in pairs.values_list("pk", Length("response_a__text"), Length("response_b__text"))
    }
    rows = counted(batch).values_list(
        "comparison_id",
        "annotator_id",
        "choice",
        "grade",
        "safety",
        "left",
        "active_ms",
        "created_at",
        "focus",
        "source",
    )
    deeds, imported = [], set()
    for pair, person, choice, grade, safety, left, active_ms, at, focus, source in rows:
        deeds.append(
            Deed(pair, person, choice, grade, safety, left, active_ms, *lengths[pair], at=at, focus=focus)
        )
        if source == Judgment.Source.IMPORT:
            imported.add(person)
    return deeds, imported


def _accuracies(deeds: Sequence[Deed]) -> dict[int, float]:
    if not deeds:
        return {}
    _, item = np.unique([deed.comparison for deed in deeds], return_inverse=True)
    people, who = np.unique([deed.annotator for deed in deeds], return_inverse=True)
    found = fit(item, who, np.array([deed.choice == Choice.B for deed in deeds]))
    return dict(zip(people.tolist(), found.accuracy.tolist(), strict=True))


def _checks(batch: Batch) -> dict[int, tuple[int, int]]:
    """By person how many checks of the batch they answered, and how many as expected; retired ones no longer count."""
    marks = GoldMark.objects.filter(judgment__comparison__batch=batch, gold__active=True).order_by()
    rows = marks.values_list("annotator").annotate(n=Count("pk"), right=Count("pk", filter=Q(right=True)))
    return {pk: (n, right) for pk, n, right in rows}


def _worst_first(worker: Worker) -> tuple[bool, float, int, str]:
    """By the upper end of the interval beside the others' share: who agrees little for certain comes before who may do
    so by chance, and nobody comes first for doing the harder kind of work."""
    share = worker.conduct.agreement
    rank = share.high - (share.others or 0.0) if worker.is_known else 0.0
    return not worker.is_known, rank, -worker.conduct.judgments, worker.user.pseudonym
