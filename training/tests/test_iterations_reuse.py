"""Forks, and work that is done once: nothing changed, no new run; one parameter changed, only what depends on it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from annotation.core.grades import Focus
from annotation.models import Batch, Comparison, Prompt, User
from annotation.services.prompts import NewPrompt, add_prompts
from training.core.recipe import PRESETS, Recipe
from training.core.states import IterationState
from training.errors import InvalidSpecError, NotReadyError
from training.models import Iteration, Run
from training.services.iterations import create_iteration, fork_iteration, start_next
from training.services.iterations.ancestry import rounds_before
from training.services.iterations.reuse import digest_of_run
from training.tests.outcomes import fail
from training.tests.turns import PARAMS, begin, go_through, kinds

pytestmark = pytest.mark.django_db


@pytest.fixture
def done(week: Batch, ada: User, pairs: Callable[..., list[Comparison]]) -> Iteration:
    """V1 with all the preset full has, complete."""
    iteration = begin(week, ada, pairs, recipe=PRESETS["full"])
    go_through(iteration)
    return iteration


def test_a_fork_with_nothing_changed_computes_nothing(done: Iteration) -> None:
    before = Run.objects.count()
    fork = fork_iteration(iteration=done, at="seal")
    assert go_through(fork) == []
    assert Run.objects.count() == before
    assert (fork.state, fork.tuned, fork.next_batch) == (IterationState.FED_BACK, done.tuned, done.next_batch)
    assert (fork.snapshot, fork.helpfulness, fork.safety) == (done.snapshot, done.helpfulness, done.safety)
    assert [step.run_id for step in fork.steps.all()] == [step.run_id for step in done.steps.all()]


@pytest.mark.parametrize(
    ("kind", "params", "made_anew"),
    [
        ("sample", {"temperatures": [0.5, 0.9]}, ["sample"]),
        ("ppo", {"iterations": 7}, ["ppo", "sample"]),
        ("finetune", {"epochs": 3}, ["finetune", "ppo", "sample"]),
        ("gatt", {"turns": 3}, ["gatt", "finetune", "ppo", "sample"]),
        ("rejection_sample", {"samples_per_prompt": 5}, ["rejection_sample", "finetune", "ppo", "sample"]),
    ],
)
def test_one_parameter_changed_computes_only_what_depends_on_it(
    done: Iteration, kind: str, params: dict[str, int], made_anew: list[str]
) -> None:
    fork = fork_iteration(iteration=done, at="snapshot", params={kind: params})
    assert kinds(go_through(fork)) == made_anew
    assert [step.kind for step in fork.steps.filter(reused=False)] == made_anew


def test_another_seed_computes_all_from_the_fork_on(done: Iteration) -> None:
    fork = fork_iteration(iteration=done, at="rejection_sample", seed=6)
    ran = go_through(fork)
    assert kinds(ran) == ["rejection_sample", "distill", "gatt", "finetune", "ppo", "sample"]
    assert fork.helpfulness == done.helpfulness
    assert all(run.seed == 6 for run in ran[:-1])


def test_a_pool_that_has_changed_asks_other_prompts_and_is_computed_anew(done: Iteration) -> None:
    add_prompts([NewPrompt(text="How do tides work?", focus=Focus.HELPFULNESS)])
    Prompt.objects.update(in_pool=True)
    fork = fork_iteration(iteration=done, at="gatt")
    assert kinds(go_through(fork))[0] == "gatt"


def test_a_run_that_failed_is_nothing_to_use_again(
    week: Batch, ada: User, pairs: Callable[..., list[Comparison]]
) -> None:
    iteration = begin(week, ada, pairs)
    go_through(iteration, until="train_reward_model/safety")
    (run,) = start_next(iteration=iteration)
    fail(run)
    fork = fork_iteration(iteration=iteration, at="rejection_sample")
    (other,) = start_next(iteration=fork)
    assert other != run
    assert digest_of_run(other) == digest_of_run(run)


def test_a_fork_shares_what_came_before_and_has_names_of_its_own(done: Iteration) -> None:
    fork = fork_iteration(iteration=done, at="ppo", params={"ppo": {"iterations": 3}})
    assert (fork.source, fork.source_step, fork.state) == (done, "ppo", IterationState.SELECTED)
    (run,) = start_next(iteration=fork)
    assert (run.inputs["name"], run.key) == (f"policy-{fork}", f"{fork}/ppo")
    shared = done.steps.get(name="finetune").run
    assert shared is not None
    assert fork.steps.get(name="finetune").run == shared


def test_a_fork_may_have_other_steps_from_there_on(done: Iteration) -> None:
    short = Recipe.model_validate(
        {"steps": [*PRESETS["full"].with_params(PARAMS).to_json()["steps"][:6], {"kind": "sample"}]}
    )
    fork = fork_iteration(iteration=done, at="ppo", recipe=short)
    assert [step.name for step in fork.steps.all()][-2:] == ["finetune", "sample"]
    go_through(fork)
    assert fork.tuned is not None
    assert fork.tuned == fork.policies.model.objects.get(name="policy-V1-finetune")


def test_what_is_shared_cannot_differ(done: Iteration) -> None:
    with pytest.raises(InvalidSpecError, match="differs from that of V1 in rejection_sample"):
        fork_iteration(iteration=done, at="ppo", recipe=PRESETS["full"])


def test_parameters_of_earlier_steps_stay_as_they_are(done: Iteration) -> None:
    fork = fork_iteration(
        iteration=done, at="finetune", params={"rejection_sample": {"samples_per_prompt": 9}}
    )
    assert fork.steps.get(name="rejection_sample").params == {"prompts": 2}


def test_a_step_that_is_not_there_is_named(done: Iteration) -> None:
    with pytest.raises(InvalidSpecError, match="no step named 'dance': choose from seal, snapshot"):
        fork_iteration(iteration=done, at="dance")


def test_there_is_nothing_to_share_before_it_is_done(
    week: Batch, ada: User, pairs: Callable[..., list[Comparison]]
) -> None:
    iteration = begin(week, ada, pairs)
    with pytest.raises(NotReadyError, match="has not done seal, snapshot"):
        fork_iteration(iteration=iteration, at="train_reward_model/safety")


def test_the_policy_of_a_fork_says_whose_it_is(done: Iteration) -> None:
    fork = fork_iteration(iteration=done, at="ppo", params={"ppo": {"iterations": 3}})
    go_through(fork)
    assert fork.tuned is not None
    assert (fork.tuned.iteration, fork.tuned.name) == (fork, f"policy-{fork}")
    assert done.tuned is not None
    assert done.tuned.iteration == done


def test_a_fork_opens_a_week_of_its_own_for_a_policy_of_its_own(done: Iteration) -> None:
    fork = fork_iteration(iteration=done, at="ppo", params={"ppo": {"iterations": 3}})
    go_through(fork)
    assert fork.next_batch is not None
    assert fork.next_batch != done.next_batch
    assert Iteration.objects.get(batch=fork.next_batch).policy == fork.tuned


def test_the_rounds_before_are_those_that_led_here_and_no_fork_beside(done: Iteration) -> None:
    fork = fork_iteration(iteration=done, at="rejection_sample", seed=9)
    go_through(fork)
    first, other = (one.steps.get(kind="rejection_sample").run for one in (done, fork))
    assert done.next_batch is not None
    assert fork.next_batch is not None
    after_first = Iteration.objects.get(batch=done.next_batch)
    after_fork = Iteration.objects.get(batch=fork.next_batch)
    assert rounds_before(after_first) == [first]
    assert rounds_before(fork) == []
    assert rounds_before(after_fork)[0] == other


def test_two_iterations_by_hand_cannot_have_one_week(done: Iteration) -> None:
    with pytest.raises(Exception, match="fork V1"):
        create_iteration(batch=done.batch, policy=done.policy, base=done.base)
