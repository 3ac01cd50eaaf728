"""One turn of the loop with made-up outcomes: each stage once, in order, and never backwards."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from annotation.core.grades import Focus
from annotation.core.states import BatchState
from annotation.errors import ConflictError, IllegalMoveError
from annotation.models import Batch, Comparison, Prompt, User
from annotation.services.batches import create_batch, seal_batch
from tests.factories import make_judgment, make_policy
from training.core.spec import RunKind
from training.core.states import IterationState, RunState
from training.errors import InvalidSpecError
from training.models import Iteration, Run
from training.services import start
from training.services.iterations import create_iteration, next_action, start_next
from training.services.iterations.moving import finish, move
from training.tests.outcomes import advance, fail, succeed

pytestmark = pytest.mark.django_db

PARAMS: dict[str, Any] = {RunKind.SAMPLE: {"prompts": 2}, RunKind.REJECTION_SAMPLE: {"prompts": 2}}


@pytest.fixture
def iteration(week: Batch, ada: User, pairs: Callable[..., list[Comparison]]) -> Iteration:
    """V1 on a week of three judged pairs, begun from policy V0."""
    pairs(2)
    pairs(1, focus=Focus.SAFETY)
    Prompt.objects.update(in_pool=True)
    for _ in range(3):
        make_judgment(ada)
    policy = make_policy("V0")
    return create_iteration(batch=week, policy=policy, base=policy, seed=5, params=PARAMS)


def test_the_stages_come_in_order_and_the_loop_closes(iteration: Iteration) -> None:
    seen = [iteration.state]
    words = [next_action(iteration)]
    while next_action(iteration):
        for run in start_next(iteration=iteration):
            succeed(run)
        iteration.refresh_from_db()
        seen.append(iteration.state)
        words.append(next_action(iteration))

    assert seen == list(IterationState)
    assert words == [
        "Seal the batch",
        "Write the snapshot",
        "Train both reward models",
        "Sample and select",
        "Fine-tune on the winners",
        "Open the next week with the new policy",
        "",
    ]
    assert [run.kind for run in iteration.runs.order_by("pk")] == [
        "train_reward_model",
        "train_reward_model",
        "rejection_sample",
        "finetune",
        "sample",
    ]
    tuned = iteration.tuned
    assert tuned is not None
    assert (tuned.name, tuned.parent, tuned.adapter_on) == ("policy-V1", iteration.base, iteration.base)
    following = Iteration.objects.get(number=2)
    assert (following.policy, following.base, following.batch) == (
        tuned,
        iteration.base,
        iteration.next_batch,
    )
    assert following.params == PARAMS
    assert following.batch.state == BatchState.OPEN
    assert following.batch.comparisons.count() == 1


def test_the_new_week_compares_the_new_policy_with_the_one_before(iteration: Iteration) -> None:
    advance(iteration, to=IterationState.TUNED)
    (run,) = start_next(iteration=iteration)
    assert iteration.tuned is not None
    assert run.inputs["policies"] == [iteration.tuned.pk, iteration.policy.pk]


def test_sealing_ends_the_week_and_moves_on(iteration: Iteration, rosa: User) -> None:
    assert start_next(iteration=iteration, by=rosa) == []
    assert (iteration.state, iteration.batch.state) == ("sealed", "sealed")


def test_a_week_that_was_sealed_by_hand_is_taken_as_it_is(iteration: Iteration) -> None:
    seal_batch(batch=iteration.batch)
    start_next(iteration=iteration)
    assert iteration.state == IterationState.SEALED


def test_a_planned_week_is_not_sealed(iteration: Iteration) -> None:
    planned = create_batch()
    other = create_iteration(batch=planned, policy=iteration.policy, base=iteration.base)
    with pytest.raises(IllegalMoveError, match="planned"):
        start_next(iteration=other)
    other.refresh_from_db()
    assert other.state == IterationState.COLLECTING


def test_asking_again_while_runs_work_starts_nothing_twice(iteration: Iteration) -> None:
    advance(iteration, to=IterationState.SNAPSHOT)
    first = start_next(iteration=iteration)
    assert start_next(iteration=iteration) == first
    assert Run.objects.count() == 2


def test_one_reward_model_is_not_both(iteration: Iteration) -> None:
    advance(iteration, to=IterationState.SNAPSHOT)
    helpfulness, safety = start_next(iteration=iteration)
    succeed(safety)
    iteration.refresh_from_db()
    assert iteration.state == IterationState.SNAPSHOT
    assert iteration.safety is not None
    assert iteration.helpfulness is None
    succeed(helpfulness)
    iteration.refresh_from_db()
    assert iteration.state == IterationState.REWARDED


def test_a_stage_whose_run_failed_retries_that_run_and_leaves_the_good_one(iteration: Iteration) -> None:
    advance(iteration, to=IterationState.SNAPSHOT)
    helpfulness, safety = start_next(iteration=iteration)
    succeed(helpfulness)
    fail(safety)
    again = start_next(iteration=iteration)
    assert [(run.pk, run.state) for run in again] == [(safety.pk, RunState.QUEUED)]


def test_a_run_started_by_hand_moves_no_iteration(iteration: Iteration) -> None:
    advance(iteration, to=IterationState.SNAPSHOT)
    assert iteration.snapshot is not None
    run = start.start_train_reward_model(
        name="by-hand",
        snapshot=iteration.snapshot,
        backbone=iteration.base,
        params={"focus": "safety"},
        iteration=iteration,
    )
    succeed(run)
    iteration.refresh_from_db()
    assert iteration.safety is None


def test_a_success_that_was_noted_already_moves_nothing(iteration: Iteration) -> None:
    advance(iteration, to=IterationState.REWARDED)
    (run,) = start_next(iteration=iteration)
    step = iteration.steps.get(name="rejection_sample")
    assert finish(iteration, step, run=run)
    before = Iteration.objects.get(pk=iteration.pk).turn
    succeed(run)
    iteration.refresh_from_db()
    assert (iteration.state, iteration.turn) == (IterationState.REWARDED, before)


def test_whoever_moves_second_learns_of_the_first(iteration: Iteration) -> None:
    stale = Iteration.objects.get(pk=iteration.pk)
    move(iteration, IterationState.SEALED)
    with pytest.raises(ConflictError, match="somebody else"):
        move(stale, IterationState.SEALED)


def test_no_stage_is_left_out(iteration: Iteration) -> None:
    with pytest.raises(IllegalMoveError, match="cannot become"):
        move(iteration, IterationState.REWARDED)


def test_a_button_on_an_old_page_starts_nothing(iteration: Iteration) -> None:
    seen = iteration.turn
    start_next(iteration=iteration, seen=seen)
    with pytest.raises(ConflictError, match="somebody else was first"):
        start_next(iteration=iteration, seen=seen)
    assert iteration.state == IterationState.SEALED


def test_a_run_that_took_the_place_of_a_failed_one_is_the_steps(iteration: Iteration) -> None:
    advance(iteration, to=IterationState.SNAPSHOT)
    helpfulness, safety = start_next(iteration=iteration)
    succeed(helpfulness)
    fail(safety)
    snapshot = iteration.snapshot
    assert snapshot is not None
    other = start.start_instead(
        old=safety,
        start=lambda: start.start_train_reward_model(
            name="stronger",
            snapshot=snapshot,
            backbone=iteration.base,
            params={"focus": "safety", "l2": 2.0},
        ),
    )
    succeed(other)
    step = iteration.steps.get(name="train_reward_model/safety")
    iteration.refresh_from_db()
    assert (step.run, step.params["l2"], iteration.state) == (other, 2.0, IterationState.REWARDED)


def test_the_winners_of_earlier_turns_are_learnt_from_again(iteration: Iteration) -> None:
    advance(iteration, to=IterationState.FED_BACK)
    following = Iteration.objects.get(number=2)
    advance(following, to=IterationState.TUNED)
    tuning = following.runs.get(kind=RunKind.FINETUNE)
    selections = Run.objects.filter(kind=RunKind.REJECTION_SAMPLE).order_by("pk")
    assert tuning.inputs["selections"] == [run.pk for run in selections]
    assert len(selections) == 2


def test_a_complete_iteration_says_where_the_next_pairs_wait(iteration: Iteration) -> None:
    advance(iteration, to=IterationState.FED_BACK)
    with pytest.raises(ConflictError, match="is complete: its policy's pairs wait in Week 2"):
        start_next(iteration=iteration)


def test_parameters_are_checked_when_the_iteration_begins(iteration: Iteration) -> None:
    arguments: dict[str, Any] = {"batch": create_batch(), "policy": iteration.policy, "base": iteration.base}
    with pytest.raises(InvalidSpecError, match="prompts"):
        create_iteration(**arguments, params={"sample": {"prompts": 0}})
    with pytest.raises(InvalidSpecError, match="no kind of run named 'dance'"):
        create_iteration(**arguments, params={"dance": {}})
    assert Iteration.objects.count() == 1


def test_a_batch_belongs_to_one_iteration(iteration: Iteration) -> None:
    with pytest.raises(ConflictError, match="belongs to V1"):
        create_iteration(batch=iteration.batch, policy=iteration.policy, base=iteration.base)


def test_an_iteration_that_somebody_began_on_the_next_week_is_kept(iteration: Iteration) -> None:
    advance(iteration, to=IterationState.TUNED)
    (run,) = start_next(iteration=iteration)
    iteration.refresh_from_db()
    assert iteration.next_batch is not None
    own = create_iteration(batch=iteration.next_batch, policy=iteration.base, base=iteration.base)
    succeed(run)
    iteration.refresh_from_db()
    assert iteration.state == IterationState.FED_BACK
    assert list(Iteration.objects.filter(number__gt=1)) == [own]
