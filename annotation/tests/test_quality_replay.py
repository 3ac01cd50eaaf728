"""Published votes, imported as anybody would import them: the pages' figures are those of plain counts and textbook
sums, and the people of whom they warn are the ones that other methods find."""

from __future__ import annotations

import gzip
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import combinations, permutations
from pathlib import Path

import pytest
from django.db import transaction
from pytest_django import DjangoDbBlocker

from annotation.core.agreement.coefficients import Coefficient
from annotation.core.agreement.weights import Metric, Weighting
from annotation.core.formats.base import ImportedJudgment
from annotation.core.formats.lines import open_lines
from annotation.core.formats.registry import read
from annotation.core.grades import Grade
from annotation.models import Judgment
from annotation.quality import said_in, scales_of
from annotation.quality_couples import couples_of
from annotation.quality_figures import Said, Scale, figures_of
from annotation.quality_people import Worker, standing_out, workers_of
from annotation.services.imports import Source, import_file
from annotation.tests.format_rows import DATA

FILES = {
    "ukpconvarg": "ukpconvarg_5annotators",
    "pandalm": "pandalm_3annotators",
    "tulu": "tulu_human_eval_annotations",
}
EVERY = {"ukpconvarg": 2}  # every second question, so that it takes seconds
STRENGTHS = {grade: place for place, grade in enumerate(Grade)}

Votes = dict[object, dict[str, int]]  # question, person, answer
Weight = Callable[[int, int], float]


@dataclass(frozen=True)
class Replay:
    path: Path
    form: str
    said: Said
    workers: list[Worker]
    rows: list[tuple[int, str, str, str]]  # pair, person, choice, grade


@pytest.fixture(scope="module", params=FILES)
def replay(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    django_db_setup: None,
    django_db_blocker: DjangoDbBlocker,
) -> Replay:
    form: str = request.param
    source = DATA / f"{FILES[form]}.jsonl.gz"
    if not source.exists():
        pytest.skip(f"the published data are not here: shared/data/{source.name} beside the checkout")
    path = tmp_path_factory.mktemp("replay") / f"{form}.jsonl"
    with gzip.open(source, "rt", encoding="utf-8") as file:
        lines = file.readlines()[:: EVERY.get(form, 1)]
    path.write_text("".join(lines), encoding="utf-8")
    with django_db_blocker.unblock(), transaction.atomic():
        batch, _ = import_file(source=Source(path=path, form=form), skip_invalid=True)
        rows = Judgment.objects.values_list("comparison", "annotator__username", "choice", "grade")
        found = Replay(path, form, said_in(batch), workers_of(batch), list(rows))
        transaction.set_rollback(True)
    return found


# Textbook formulas, item by item.


def by_pair(answers: Iterable[tuple[object, str, int]]) -> Votes:
    votes: defaultdict[object, dict[str, int]] = defaultdict(dict)
    for question, person, answer in answers:
        votes[question].setdefault(person, answer)
    return votes


def choices(replay: Replay) -> Votes:
    return by_pair((pair, person, int(choice == "b")) for pair, person, choice, _ in replay.rows)


def steps(replay: Replay) -> Votes:
    graded = [row for row in replay.rows if row[3]]
    places = {
        (choice, grade): 1 + place if choice == "a" else 8 - place
        for grade, place in STRENGTHS.items()
        for choice in "ab"
    }
    return by_pair((pair, person, places[choice, Grade(grade)]) for pair, person, choice, grade in graded)


def seen(votes: Votes, weight: Weight) -> float:
    """The mean over questions of the weight of two of its answers."""
    shares = []
    for answers in votes.values():
        if two := list(combinations(answers.values(), 2)):
            shares.append(sum(weight(a, b) for a, b in two) / len(two))
    return sum(shares) / len(shares)


def habits(votes: Votes) -> dict[int, float]:
    """The mean over questions of the share of its answers that are k."""
    sums: defaultdict[int, float] = defaultdict(float)
    for answers in votes.values():
        for answer in answers.values():
            sums[answer] += 1 / len(answers) / len(votes)
    return sums


def plain_gwet(votes: Votes, weight: Weight, categories: range) -> float:
    q = len(categories)
    total = sum(weight(a, b) for a in categories for b in categories)
    chance = total / (q * (q - 1)) * sum(p * (1 - p) for p in habits(votes).values())
    return (seen(votes, weight) - chance) / (1 - chance)


def plain_fleiss(votes: Votes, weight: Weight) -> float:
    p = habits(votes)
    chance = sum(weight(a, b) * p[a] * p[b] for a in p for b in p)
    return (seen(votes, weight) - chance) / (1 - chance)


def plain_alpha(votes: Votes, far: Callable[[int, int], float]) -> float:
    """Krippendorff (2011): from the matrix of coincidences."""
    together: Counter[tuple[int, int]] = Counter()
    parts: defaultdict[tuple[int, int], float] = defaultdict(float)
    for answers in votes.values():
        if len(answers) > 1:
            for a, b in permutations(answers.values(), 2):
                parts[a, b] += 1 / (len(answers) - 1)
                together[a, b] += 1
    sizes: defaultdict[int, float] = defaultdict(float)
    for (a, _), count in parts.items():
        sizes[a] += count
    n = sum(sizes.values())
    observed = sum(count * far(a, b) for (a, b), count in parts.items()) / n
    expected = sum(sizes[a] * sizes[b] * far(a, b) for a in sizes for b in sizes if a != b) / (n * (n - 1))
    return 1 - observed / expected


def same(a: int, b: int) -> float:
    return float(a == b)


def near(a: int, b: int) -> float:
    return 1 - ((a - b) / 7) ** 2


def figure(
    replay: Replay,
    scale: Scale,
    name: str,
    *,
    weights: Weighting | None = None,
    metric: Metric | None = None,
) -> Coefficient:
    (found,) = [
        row
        for one in scales_of(replay.said)
        if one.scale is scale
        for row in one.coefficients
        if (row.name, row.weights, row.metric) == (name, weights, metric)
    ]
    return found


# The questions, answers and counts themselves, from the file alone.


def from_the_file(replay: Replay) -> Votes:
    """The first choice of each person on each question: 1 for the response that sorts last, else 0. Equal texts by
    different models are different responses."""
    answers = []
    for item in read(open_lines(replay.path), form=replay.form):
        if isinstance(item, ImportedJudgment):
            a, b = ((one.text, one.policy) for one in (item.response_a, item.response_b))
            chosen, other = (a, b) if item.choice == "a" else (b, a)
            question = (str(item.messages), *sorted([a, b]))
            answers.append((question, item.annotator, int(chosen > other)))
    return by_pair(answers)


def test_the_headline_is_a_count_in_the_file(replay: Replay) -> None:
    votes, found = from_the_file(replay), figures_of(replay.said)
    assert found.judgments == sum(map(len, votes.values()))
    assert found.pairs == sum(len(answers) > 1 for answers in votes.values())
    assert found.people == len({person for answers in votes.values() for person in answers})
    assert found.same.value == pytest.approx(seen(votes, same))


def test_coefficients_of_the_choice_are_those_of_the_textbook(replay: Replay) -> None:
    votes = choices(replay)
    identity = Weighting.IDENTITY
    found = [
        figure(replay, Scale.CHOICE, "gwet", weights=identity),
        figure(replay, Scale.CHOICE, "fleiss", weights=identity),
        figure(replay, Scale.CHOICE, "krippendorff", metric=Metric.NOMINAL),
    ]
    assert [row.value for row in found] == pytest.approx(
        [
            plain_gwet(votes, same, range(2)),
            plain_fleiss(votes, same),
            plain_alpha(votes, lambda a, b: 1 - same(a, b)),
        ]
    )


def test_coefficients_of_the_grade_are_those_of_the_textbook(replay: Replay) -> None:
    votes = steps(replay)
    if not votes:
        assert [one.scale for one in scales_of(replay.said)] == [Scale.CHOICE]  # no strength was stated
        return
    quadratic = Weighting.QUADRATIC
    found = [
        figure(replay, Scale.GRADE, "percent", weights=quadratic),
        figure(replay, Scale.GRADE, "gwet", weights=quadratic),
        figure(replay, Scale.GRADE, "fleiss", weights=quadratic),
        figure(replay, Scale.GRADE, "krippendorff", metric=Metric.INTERVAL),
    ]
    assert [row.value for row in found] == pytest.approx(
        [
            seen(votes, near),
            plain_gwet(votes, near, range(1, 9)),
            plain_fleiss(votes, near),
            plain_alpha(votes, lambda a, b: (a - b) ** 2),
        ]
    )


def test_two_people_agree_as_often_as_the_file_says(replay: Replay) -> None:
    shared: Counter[frozenset[str]] = Counter()
    agreed: Counter[frozenset[str]] = Counter()
    for answers in from_the_file(replay).values():
        for (one, a), (other, b) in combinations(answers.items(), 2):
            shared[frozenset((one, other))] += 1
            agreed[frozenset((one, other))] += a == b
    names = {worker.user.pk: worker.user.username.partition(":")[2] for worker in replay.workers}
    rows = couples_of(replay.said).rows
    for row in rows:
        both = frozenset((names[row.first], names[row.second]))
        assert (row.shared, row.same) == (shared[both], agreed[both])
    assert len(rows) == sum(count >= 20 for count in shared.values())
    assert [row.value for row in rows] == sorted(row.value for row in rows)


# The people that plain agreement, Dawid and Skene and, for UKPConvArg1, its published competences put last.
WORST = {
    "ukpconvarg": ["Wbe1032aa", "We06f56bb"],
    "pandalm": ["annotator2", "annotator1", "annotator3"],
    "tulu": [],  # nobody shares enough pairs to be placed
}
NAMED = {"ukpconvarg": {"Wbe1032aa", "We06f56bb"}, "pandalm": set(), "tulu": set()}


def names_of(workers: list[Worker]) -> list[str]:
    return [worker.user.username.partition(":")[2] for worker in workers]


def test_the_worst_annotators_come_first(replay: Replay) -> None:
    worst = WORST[replay.form]
    known = [worker for worker in replay.workers if worker.is_known]
    assert names_of(known)[: len(worst)] == worst


def test_those_and_nobody_else_are_named(replay: Replay) -> None:
    assert set(names_of(standing_out(replay.workers))) == NAMED[replay.form]
