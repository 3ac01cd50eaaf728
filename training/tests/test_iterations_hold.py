"""Iterations that go on by themselves, and that people pause and resume."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from annotation.errors import ConflictError
from annotation.models import AuditEvent, Batch, Comparison, Prompt, User
from training.core.recipe import PRESETS
from training.core.states import IterationState, RunState
from training.models import Iteration, PolicyVersion, Run
from training.services import runs
from training.services.iterations import pause_iteration, resume_iteration, start_next
from training.tests.outcomes import fail
from training.tests.turns import begin, end_well, finish_all, go_through, kinds

pytestmark = pytest.mark.django_db
Pairs = Callable[..., list[Comparison]]


@pytest.fixture
def iteration(week: Batch, ada: User, pairs: Pairs) -> Iteration:
    return begin(week, ada, pairs)


@pytest.fixture
def automatic(week: Batch, ada: User, pairs: Pairs) -> Iteration:
    return begin(week, ada, pairs, recipe=PRESETS["full"], automatic=True)


def test_one_press_and_the_ends_of_its_runs_take_an_automatic_iteration_through(automatic: Iteration) -> None:
    assert kinds(start_next(iteration=automatic)) == ["train_reward_model"] * 2
    finish_all()
    automatic.refresh_from_db()
    assert automatic.state == IterationState.FED_BACK
    assert automatic.tuned == PolicyVersion.objects.get(name="policy-V1")
    assert Iteration.objects.get(number=2).automatic


def test_the_next_iteration_waits_for_people_even_if_it_is_automatic(automatic: Iteration) -> None:
    start_next(iteration=automatic)
    finish_all()
    assert Iteration.objects.get(number=2).state == IterationState.COLLECTING


def test_an_automatic_iteration_waits_for_all_runs_of_a_wave_and_retries_none_by_itself(
    automatic: Iteration,
) -> None:
    helpfulness, safety = start_next(iteration=automatic)
    fail(safety)
    end_well(helpfulness)
    safety.refresh_from_db()
    assert safety.state == RunState.FAILED
    assert Run.objects.count() == 2
    runs.retry_run(run=safety)
    end_well(safety)
    assert Run.objects.filter(kind="rejection_sample", state=RunState.QUEUED).exists()


def test_what_keeps_the_next_step_from_starting_is_said_and_harms_no_run(automatic: Iteration) -> None:
    Prompt.objects.update(in_pool=False)
    helpfulness, safety = start_next(iteration=automatic)
    end_well(helpfulness)
    end_well(safety)
    safety.refresh_from_db()
    automatic.refresh_from_db()
    assert safety.state == RunState.SUCCEEDED
    assert "prompt pool is empty" in automatic.stuck
    Prompt.objects.update(in_pool=True)
    start_next(iteration=automatic)
    automatic.refresh_from_db()
    assert automatic.stuck == ""


def test_nothing_new_starts_while_it_is_paused(iteration: Iteration, rosa: User) -> None:
    pause_iteration(iteration=iteration, by=rosa)
    with pytest.raises(ConflictError, match="V1 is paused"):
        start_next(iteration=iteration)
    iteration.refresh_from_db()
    assert iteration.state == IterationState.COLLECTING
    assert AuditEvent.objects.get(action="iteration.paused").actor == rosa


def test_what_is_at_work_ends_and_is_kept_while_it_is_paused(automatic: Iteration) -> None:
    both = start_next(iteration=automatic)
    pause_iteration(iteration=automatic)
    for run in both:
        end_well(run)
    automatic.refresh_from_db()
    assert automatic.state == IterationState.REWARDED
    assert Run.objects.count() == 2
    resume_iteration(iteration=automatic)
    assert Run.objects.filter(kind="rejection_sample").exists()


def test_a_pause_may_cancel_what_is_at_work_and_resuming_queues_it_again(iteration: Iteration) -> None:
    go_through(iteration, until="snapshot")
    both = start_next(iteration=iteration)
    runs.claim_run(pk=both[0].pk)
    pause_iteration(iteration=iteration, cancel=True)
    for run in both:
        run.refresh_from_db()
    assert [run.state for run in both] == [RunState.CANCELLING, RunState.CANCELLED]
    resume_iteration(iteration=iteration)
    both[1].refresh_from_db()
    assert both[1].state == RunState.QUEUED


def test_of_two_who_pause_one_is_told_and_so_of_two_who_resume(iteration: Iteration) -> None:
    pause_iteration(iteration=iteration)
    with pytest.raises(ConflictError, match="paused already"):
        pause_iteration(iteration=iteration)
    resume_iteration(iteration=iteration)
    with pytest.raises(ConflictError, match="is not paused"):
        resume_iteration(iteration=iteration)


def test_a_pause_asked_of_an_old_page_is_refused(iteration: Iteration) -> None:
    seen = iteration.turn
    start_next(iteration=iteration)
    with pytest.raises(ConflictError, match="has moved on since you looked"):
        pause_iteration(iteration=iteration, seen=seen)


def test_a_complete_iteration_has_nothing_to_pause(iteration: Iteration) -> None:
    go_through(iteration)
    with pytest.raises(ConflictError, match="is complete"):
        pause_iteration(iteration=iteration)
