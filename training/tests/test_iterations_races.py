"""Two researchers who press at once. PostgreSQL alone lets writers run beside each other."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.conf import settings

from annotation.errors import ConflictError
from annotation.models import Batch, Comparison, Snapshot, User
from annotation.tests.test_races import at_once
from tests.factories import make_user
from training.models import Iteration, Run
from training.services.iterations import pause_iteration, start_next
from training.tests.turns import begin, end_well, go_through

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(
        "postgresql" not in settings.DATABASES["default"]["ENGINE"], reason="SQLite has one writer at a time"
    ),
]
Pairs = Callable[..., list[Comparison]]


@pytest.fixture
def ada(transactional_db: None) -> User:
    return make_user("ada")


@pytest.fixture
def iteration(week: Batch, ada: User, pairs: Pairs) -> Iteration:
    return begin(week, ada, pairs)


def fresh(iteration: Iteration) -> Iteration:
    return Iteration.objects.get(pk=iteration.pk)


def test_what_two_start_at_once_is_started_once_all_the_way(iteration: Iteration) -> None:
    while fresh(iteration).state != "fed_back":
        for one in at_once(*(lambda: start_next(iteration=fresh(iteration)) for _ in range(4))):
            assert isinstance(one, list | ConflictError), one
        for run in Run.objects.filter(state="queued"):
            end_well(run)
    assert Run.objects.filter(iteration=iteration).count() == 5
    assert Snapshot.objects.count() == 1
    assert Batch.objects.count() == 2


def test_of_two_who_press_the_same_button_one_is_told(iteration: Iteration) -> None:
    go_through(iteration, until="snapshot")
    iteration.refresh_from_db()
    seen = iteration.turn
    calls = [lambda: start_next(iteration=fresh(iteration), seen=seen) for _ in range(2)]
    answers = at_once(*calls)
    assert sum(isinstance(answer, ConflictError) for answer in answers) == 1
    assert Run.objects.count() == 2


def test_of_two_who_pause_at_once_one_is_told(iteration: Iteration) -> None:
    answers = at_once(*(lambda: pause_iteration(iteration=fresh(iteration)) for _ in range(2)))
    assert sum(isinstance(answer, ConflictError) for answer in answers) == 1


def test_two_runs_that_end_at_once_start_the_next_step_once(week: Batch, ada: User, pairs: Pairs) -> None:
    iteration = begin(week, ada, pairs, automatic=True)
    helpfulness, safety = start_next(iteration=iteration)
    at_once(lambda: end_well(helpfulness), lambda: end_well(safety))
    assert Run.objects.filter(kind="rejection_sample").count() == 1
    assert fresh(iteration).state == "rewarded"
