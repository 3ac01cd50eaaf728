"""The plan of an iteration: every step, its fate, and that looking changes nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from annotation.core.grades import Focus
from annotation.models import AuditEvent, Batch, Comparison, Prompt, Snapshot, User, WebhookDelivery
from training.core.recipe import PRESETS
from training.models import Iteration, Run
from training.models.policies import IterationStep
from training.services.iterations import Fate, fork_iteration, plan_iteration, start_next
from training.tests.outcomes import fail
from training.tests.turns import begin, go_through

pytestmark = pytest.mark.django_db
Pairs = Callable[..., list[Comparison]]


@pytest.fixture
def iteration(week: Batch, ada: User, pairs: Pairs) -> Iteration:
    return begin(week, ada, pairs, recipe=PRESETS["full"])


def fates(iteration: Iteration) -> dict[str, Fate]:
    return {line.name: line.fate for line in plan_iteration(iteration)}


def test_before_the_start_everything_is_still_to_do_and_says_what_it_reads(iteration: Iteration) -> None:
    lines = {line.name: line for line in plan_iteration(iteration)}
    assert {line.fate for line in lines.values()} == {Fate.NEW}
    assert lines["seal"].why == "3 of 3 pairs are complete"
    assert lines["train_reward_model/safety"].reads == ("the snapshot", "V0")
    assert lines["rejection_sample"].params == {"prompts": 2}
    assert lines["rejection_sample"].reads == (
        "V0",
        "the current helpfulness model",
        "the current safety model",
    )
    assert lines["finetune"].reads == (
        "V0",
        "the targets of rejection_sample",
        "the targets of distill",
        "the targets of gatt",
    )
    assert lines["ppo"].why == (
        "reads snapshot, train_reward_model/helpfulness, train_reward_model/safety, finetune, still to come"
    )


def test_a_plan_says_what_was_done_what_is_at_work_and_what_broke(iteration: Iteration) -> None:
    go_through(iteration, until="snapshot")
    fail(start_next(iteration=iteration)[1])
    found = fates(iteration)
    assert [found[name] for name in ("seal", "snapshot")] == [Fate.DONE, Fate.DONE]
    assert found["train_reward_model/helpfulness"] == Fate.WORKING
    assert found["train_reward_model/safety"] == Fate.BROKEN
    assert found["rejection_sample"] == Fate.NEW


def test_a_plan_foresees_all_that_will_be_used_again_behind_each_other(iteration: Iteration) -> None:
    go_through(iteration)
    fork = fork_iteration(iteration=iteration, at="snapshot", params={"ppo": {"iterations": 7}})
    found = fates(fork)
    assert [name for name, fate in found.items() if fate == Fate.NEW] == ["ppo", "sample"]
    assert [name for name, fate in found.items() if fate == Fate.DONE] == ["seal"]
    assert set(found.values()) == {Fate.NEW, Fate.DONE, Fate.REUSE}


def test_a_plan_says_why_a_step_cannot_start(iteration: Iteration) -> None:
    go_through(iteration, until="train_reward_model/safety")
    Prompt.objects.update(in_pool=False)
    lines = {line.name: line for line in plan_iteration(iteration)}
    assert lines["gatt"].fate == Fate.REFUSED
    assert "prompt pool is empty" in lines["gatt"].why
    assert lines["finetune"].fate == Fate.NEW


def test_looking_changes_nothing(iteration: Iteration, announced: list[int]) -> None:
    go_through(iteration, until="train_reward_model/safety")
    announced.clear()
    models = (Run, IterationStep, AuditEvent, Batch, Snapshot, WebhookDelivery, Iteration)
    before = [list(model._default_manager.order_by("pk").values()) for model in models]
    plan_iteration(iteration)
    assert [list(model._default_manager.order_by("pk").values()) for model in models] == before
    assert announced == []


def test_a_run_that_a_plan_foresees_is_the_run_that_starts(iteration: Iteration) -> None:
    """The digest is made of the run that the door really queues, so it cannot differ from it."""
    go_through(iteration, until="finetune")
    (run,) = start_next(iteration=iteration)
    assert run.inputs["policy"] != iteration.policy.pk
    assert set(run.inputs) >= {str(focus) for focus in Focus} | {"prompts", "name"}
