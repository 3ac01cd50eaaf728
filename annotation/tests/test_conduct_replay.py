"""People of published data, and invented ones among them: who stands out, and for the right reason.

The workers' sides are drawn by this project's own coin, which they never saw: nobody real can prefer a side.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import combinations
from typing import Any

import pytest

from annotation.core.anomalies import Anomaly, AnomalyKind, Severity, anomalies_of, house_of
from annotation.core.conduct import Conduct, Deed, conduct_of
from annotation.core.dawid_skene import fit
from annotation.core.formats.base import ImportedJudgment
from annotation.core.formats.lines import open_lines
from annotation.core.formats.registry import read
from annotation.core.grades import Focus
from annotation.core.ordering import left_choice
from annotation.tests.format_rows import DATA

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
FILES = {
    "ukpconvarg": "ukpconvarg_5annotators",
    "pandalm": "pandalm_3annotators",
    "tulu": "tulu_human_eval_annotations",
    "convabuse": "convabuse_annotations",
}
ON_CHOICES = set(AnomalyKind) - {AnomalyKind.PACE, AnomalyKind.HASTE}

Vote = tuple[str, str, str]  # question, person, choice


def rows_of(source: str) -> list[dict[str, Any]]:
    path = DATA / f"{FILES[source]}.jsonl.gz"
    if not path.exists():
        pytest.skip(f"the published data are not here: shared/data/{path.name} beside the checkout")
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def imported(source: str) -> Iterator[Vote]:
    rows_of(source)  # skips where the file is absent
    for item in read(open_lines(DATA / f"{FILES[source]}.jsonl.gz"), form=source):
        if isinstance(item, ImportedJudgment):
            pair = json.dumps([item.messages, item.response_a.text, item.response_b.text])
            yield pair, item.annotator, item.choice


def abusive_or_not() -> Iterator[Vote]:
    """ConvAbuse asks no pairs: "a" is abusive in any degree, "b" is not."""
    for row in rows_of("convabuse"):
        question = json.dumps([row[name] for name in ("conv_id", "prev_agent", "prev_user", "agent", "user")])
        is_abusive = any(row[f"is_abuse.-{degree}"] for degree in (1, 2, 3))
        yield question, row["annotator_id"], "a" if is_abusive else "b"


@cache
def votes_of(source: str) -> dict[tuple[str, str], str]:
    """The first choice of each person on each question."""
    votes: dict[tuple[str, str], str] = {}
    for question, person, choice in abusive_or_not() if source == "convabuse" else imported(source):
        votes.setdefault((question, person), choice)
    return votes


def numbers(names: Iterable[str]) -> dict[str, int]:
    return {name: number for number, name in enumerate(sorted(set(names)))}


def conducts(votes: dict[tuple[str, str], str]) -> dict[str, Conduct]:
    questions, people = numbers(q for q, _ in votes), numbers(p for _, p in votes)
    deeds = [
        Deed(questions[q], people[p], choice, None, None, None, None, 1, 1, START, Focus.HELPFULNESS)
        for (q, p), choice in votes.items()
    ]
    found = conduct_of(deeds)
    return {name: found[number] for name, number in people.items()}


def accuracies(votes: dict[tuple[str, str], str]) -> dict[str, float]:
    questions, people = numbers(q for q, _ in votes), numbers(p for _, p in votes)
    found = fit(
        [questions[q] for q, _ in votes], [people[p] for _, p in votes], [c == "b" for c in votes.values()]
    )
    return dict(zip(people, found.accuracy.tolist(), strict=True))


def lowest(figures: dict[str, float], count: int) -> list[str]:
    return sorted(figures, key=figures.__getitem__)[:count]


def agreements(found: dict[str, Conduct], fewest: int) -> dict[str, float]:
    return {
        name: conduct.agreement.value
        for name, conduct in found.items()
        if conduct.judgments >= fewest and conduct.agreement.value is not None
    }


@pytest.mark.parametrize("source", FILES)
def test_agreement_equals_a_count_of_all_pairs_of_people(source: str) -> None:
    votes = votes_of(source)
    by_question: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
    for (question, person), choice in votes.items():
        by_question[question].append((person, choice))
    shared: defaultdict[str, list[bool]] = defaultdict(list)
    for said in by_question.values():
        for (one, first), (other, second) in combinations(said, 2):
            shared[one].append(first == second)
            shared[other].append(first == second)
    every = sum(map(len, shared.values())), sum(map(sum, shared.values()))
    for person, conduct in conducts(votes).items():
        pairs, same = len(shared[person]), sum(shared[person])
        assert (conduct.agreement.trials, conduct.agreement.hits) == (pairs, same)
        # Every pair stands twice among all of them, once for each of the two.
        left = every[0] - 2 * pairs
        others = (every[1] - 2 * same) / left if left and pairs else None
        assert conduct.agreement.others == pytest.approx(others)


# The least people of each source by agreement, with at least so many judgments. Tulu has few shared pairs: its two
# least have 3 and 12.
LEAST = {
    "ukpconvarg": (100, ["Wbe1032aa", "We06f56bb"]),
    "pandalm": (1, ["annotator2", "annotator1", "annotator3"]),
    "tulu": (1, ["E10", "E15"]),
    "convabuse": (1, ["Annotator5", "Annotator7"]),
}


@pytest.mark.parametrize("source", FILES)
def test_agreement_and_dawid_skene_name_the_same_people_last(source: str) -> None:
    fewest, least = LEAST[source]
    votes = votes_of(source)
    agreeing = agreements(conducts(votes), fewest)
    right = {name: rate for name, rate in accuracies(votes).items() if name in agreeing}
    assert lowest(agreeing, len(least)) == least
    assert lowest(right, len(least)) == least


@pytest.mark.parametrize("source", ["ukpconvarg", "convabuse"])
@pytest.mark.parametrize("half", [0, 1])
def test_the_least_are_the_same_in_either_half_of_the_questions(source: str, half: int) -> None:
    fewest, least = LEAST[source]
    votes = {
        (question, person): choice
        for (question, person), choice in votes_of(source).items()
        if hashlib.sha256(question.encode()).digest()[0] % 2 == half
    }
    known = agreements(conducts(votes_of(source)), fewest)
    agreeing = {name: rate for name, rate in agreements(conducts(votes), 1).items() if name in known}
    assert lowest(agreeing, 1)[0] in least
    assert set(least) <= set(lowest(agreeing, 5))


def test_published_competences_name_the_same_workers_last() -> None:
    # UKPConvArg1 publishes each worker's competence under MACE, another model of who is right.
    published = {
        vote["worker"]: vote["competence"] for row in rows_of("ukpconvarg") for vote in row["assignments"]
    }
    votes = votes_of("ukpconvarg")
    people = agreements(conducts(votes), 100)
    competence = {name: published[name] for name in people}
    rates = {name: rate for name, rate in accuracies(votes).items() if name in people}
    assert lowest(competence, 2) == LEAST["ukpconvarg"][1]
    # Spearman's rank correlation: 1 - 6 sum d^2 / (n (n^2 - 1)).
    ranks = [{name: n for n, name in enumerate(lowest(f, len(f)))} for f in (competence, rates)]
    n, apart = len(people), sum((ranks[0][name] - ranks[1][name]) ** 2 for name in people)
    assert 1 - 6 * apart / (n * (n**2 - 1)) > 0.75


# Invented people among the workers of UKPConvArg1.


@cache
def workers() -> tuple[list[Deed], dict[str, int]]:
    rows = [row for row in rows_of("ukpconvarg") if row["a1"].strip() != row["a2"].strip()]
    people = numbers(vote["worker"] for row in rows for vote in row["assignments"])
    deeds = []
    for number, row in enumerate(rows):
        for vote in row["assignments"]:
            if vote["value"] == "equal":
                continue
            began, ended = (
                datetime.strptime(vote[name], "%Y-%m-%d %H:%M:%S.%f %Z").replace(tzinfo=UTC)
                for name in ("accept", "submit")
            )
            deeds.append(
                Deed(
                    number,
                    people[vote["worker"]],
                    choice="a" if vote["value"] == "a1" else "b",
                    grade=None,
                    safety=None,
                    left=left_choice(seed=7, comparison=row["id"], annotator=vote["worker"]),
                    active_ms=round((ended - began) / timedelta(milliseconds=1)),
                    len_a=len(row["a1"]),
                    len_b=len(row["a2"]),
                    at=ended,
                    focus=Focus.HELPFULNESS,
                )
            )
    return deeds, people


Habit = Callable[[random.Random, list[Deed], Deed, int], Deed]


def like_a_peer(draw: random.Random, said: list[Deed], deed: Deed, nth: int) -> Deed:
    """As good as any worker, and as quick."""
    peer = draw.choice(said)
    return replace(deed, choice=peer.choice, active_ms=round(draw.lognormvariate(11.7, 0.5)))


def always_left(draw: random.Random, said: list[Deed], deed: Deed, nth: int) -> Deed:
    return replace(deed, choice=deed.left or "a")


def always_longer(draw: random.Random, said: list[Deed], deed: Deed, nth: int) -> Deed:
    return replace(deed, choice="a" if deed.len_a > deed.len_b else "b")


def at_random(draw: random.Random, said: list[Deed], deed: Deed, nth: int) -> Deed:
    return replace(deed, choice=draw.choice("ab"))


def with_the_majority(draw: random.Random, said: list[Deed], deed: Deed, nth: int) -> Deed:
    return replace(deed, choice="a" if 2 * sum(d.choice == "a" for d in said) >= len(said) else "b")


def quicker_and_quicker(draw: random.Random, said: list[Deed], deed: Deed, nth: int) -> Deed:
    honest = like_a_peer(draw, said, deed, nth)
    return replace(honest, active_ms=(honest.active_ms or 0) // (1 if nth < 200 else 3))


def clicking_through(draw: random.Random, said: list[Deed], deed: Deed, nth: int) -> Deed:
    return replace(at_random(draw, said, deed, nth), active_ms=2_500)


def giving_up(draw: random.Random, said: list[Deed], deed: Deed, nth: int) -> Deed:
    return (like_a_peer if nth < 200 else at_random)(draw, said, deed, nth)


INVENTED: dict[str, tuple[Habit, AnomalyKind]] = {
    "always left": (always_left, AnomalyKind.SIDE),
    "always longer": (always_longer, AnomalyKind.LENGTH),
    "at random": (at_random, AnomalyKind.AGREEMENT),
    "with the majority": (with_the_majority, AnomalyKind.ECHO),
    "quicker and quicker": (quicker_and_quicker, AnomalyKind.HASTE),
    "clicking through": (clicking_through, AnomalyKind.PACE),
    "giving up": (giving_up, AnomalyKind.DRIFT),
}
HONEST = 20
PAIRS = 300


def work_of(name: str, number: int, habit: Habit, said: dict[int, list[Deed]]) -> Iterator[Deed]:
    """PAIRS judgments, one every two minutes, on pairs that workers judged."""
    draw = random.Random(number)
    for nth, comparison in enumerate(draw.sample(sorted(said), PAIRS)):
        others = said[comparison]
        blank = replace(
            others[0],
            annotator=number,
            left=left_choice(seed=7, comparison=str(comparison), annotator=name),
            at=START + timedelta(minutes=2 * nth),
            active_ms=round(draw.lognormvariate(11.7, 0.5)),
        )
        yield habit(draw, others, blank, nth)


def by_comparison(deeds: Iterable[Deed]) -> dict[int, list[Deed]]:
    said: defaultdict[int, list[Deed]] = defaultdict(list)
    for deed in deeds:
        said[deed.comparison].append(deed)
    return said


@cache
def found() -> tuple[dict[str, list[Anomaly]], dict[str, list[Anomaly]], dict[str, list[Anomaly]]]:
    """What is said of the invented, of honest ones invented beside them, and of workers with enough judgments.

    Who copies the majority knows what everybody else said.
    """
    deeds, people = workers()
    habits = {name: habit for name, (habit, _) in INVENTED.items()}
    habits |= {f"honest {n}": like_a_peer for n in range(HONEST)}
    invented = {name: len(people) + n for n, name in enumerate(habits)}
    copier = habits.pop("with the majority")
    said = by_comparison(deeds)
    added = [deed for name, habit in habits.items() for deed in work_of(name, invented[name], habit, said)]
    said = by_comparison([*deeds, *added])
    added += work_of("with the majority", invented["with the majority"], copier, said)
    conduct = conduct_of([*deeds, *added])
    house = house_of(conduct)
    odd = {name: anomalies_of(conduct[number], house) for name, number in invented.items()}
    real = {
        name: anomalies_of(conduct[number], house)
        for name, number in people.items()
        if number in conduct and conduct[number].judgments >= 30
    }
    honest = {name: said for name, said in odd.items() if name not in INVENTED}
    return {name: odd[name] for name in INVENTED}, honest, real


@pytest.mark.parametrize("name", INVENTED)
def test_an_invented_habit_is_found_for_what_it_is(name: str) -> None:
    kinds = {anomaly.kind for anomaly in found()[0][name]}
    assert INVENTED[name][1] in kinds


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("always longer", {AnomalyKind.LENGTH}),
        ("with the majority", {AnomalyKind.ECHO}),
        ("quicker and quicker", {AnomalyKind.HASTE}),
    ],
)
def test_a_habit_that_spoils_nothing_else_is_called_nothing_else(name: str, kinds: set[AnomalyKind]) -> None:
    assert {anomaly.kind for anomaly in found()[0][name]} == kinds


def test_nobody_who_works_as_well_as_the_others_is_named() -> None:
    honest = found()[1]
    assert len(honest) == HONEST
    assert [name for name, said in honest.items() if said] == []


def test_hardly_any_worker_is_named_for_their_choices_and_none_is_warned_of() -> None:
    # The times are those from accepting a pair to submitting it, pauses and all: what is said of them is left out.
    real = found()[2]
    named = {name for name, said in real.items() if ON_CHOICES & {anomaly.kind for anomaly in said}}
    assert len(real) > 60
    assert named <= set(LEAST["ukpconvarg"][1])
    assert len(named) / len(real) < 0.05
    assert not any(anomaly.severity is Severity.WARNING for said in real.values() for anomaly in said)


def test_no_worker_prefers_a_side_that_was_drawn_afterwards() -> None:
    kinds = {anomaly.kind for said in found()[2].values() for anomaly in said}
    assert AnomalyKind.SIDE not in kinds
