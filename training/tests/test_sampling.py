"""What a week's plan asks of the run that samples its pairs."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from annotation.core.curriculum import Mix
from annotation.core.grades import Focus
from annotation.core.plan import Plan
from annotation.models import Batch, Prompt, User
from annotation.services.batches import Offer, create_batch
from annotation.services.pool import install_default_prompts
from tests.factories import make_batch, make_comparisons, make_policy
from training.core.spec import RunKind
from training.core.states import IterationState
from training.errors import NotReadyError
from training.models import Iteration, PolicyVersion, Run
from training.services.iterations import create_iteration, start_next
from training.services.sampling import sample_week
from training.tests.outcomes import advance

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _pool() -> None:
    install_default_prompts()


@pytest.fixture
def policies() -> list[PolicyVersion]:
    return [make_policy("V1"), make_policy("V0")]


def week(plan: Plan | None = None, **offer: Any) -> Batch:
    return create_batch(offer=Offer(plan=plan.to_json() if plan else {}, **offer))


def test_a_week_without_a_plan_is_sampled_as_the_parameters_say(policies: list[PolicyVersion]) -> None:
    run = sample_week(batch=week(), policies=policies, params={"prompts": 3, "temperatures": [0.2]})
    assert run.inputs["policies"] == [policy.pk for policy in policies]
    assert (run.params["temperatures"], len(run.inputs["prompts"])) == ([0.2], 3)


def test_the_plan_has_the_last_word_on_temperatures_and_prompts(policies: list[PolicyVersion]) -> None:
    plan = Plan(coolest=0.5, hottest=0.7, mix=Mix(safety_share=1.0))
    run = sample_week(batch=week(plan), policies=policies, params={"prompts": 4, "temperatures": [0.2]})
    assert run.params["temperatures"] == [0.5, 0.6, 0.7]
    assert {p.focus for p in Prompt.objects.filter(key__in=run.inputs["prompts"])} == {Focus.SAFETY}


def test_the_plan_names_whose_answers_are_compared(policies: list[PolicyVersion]) -> None:
    older = make_policy("V-1")
    plan = Plan(policies=("V0", "V-1"))
    run = sample_week(batch=week(plan), policies=policies, params={})
    assert run.inputs["policies"] == [policies[1].pk, older.pk]


def test_a_policy_that_there_is_not_is_named(policies: list[PolicyVersion]) -> None:
    with pytest.raises(NotReadyError, match="V7, and there is no such policy"):
        sample_week(batch=week(Plan(policies=("V7",))), policies=policies, params={})


def test_a_week_with_a_target_gets_what_it_lacks(policies: list[PolicyVersion]) -> None:
    batch = make_batch()
    make_comparisons(batch, 4)
    Batch.objects.filter(pk=batch.pk).update(target=9)
    batch.refresh_from_db()
    assert sample_week(batch=batch, policies=policies, params={}).params["prompts"] == 5


def test_the_week_that_was_planned_follows_and_no_other(policies: list[PolicyVersion]) -> None:
    iteration: Iteration = create_iteration(batch=make_batch(), policy=policies[0], base=policies[1])
    make_comparisons(iteration.batch, 2)
    planned = week(Plan(coolest=0.9, hottest=0.9))
    advance(iteration, to=IterationState.TUNED)
    (run,) = start_next(iteration=iteration)
    iteration.refresh_from_db()
    assert iteration.next_batch == planned
    assert (run.kind, run.params["temperatures"]) == (RunKind.SAMPLE, [0.9])


def test_rosa_samples_a_week_from_its_page(rosa: User, client: Client, policies: list[PolicyVersion]) -> None:
    batch = week(Plan(coolest=0.4, hottest=0.5), target=6)
    client.force_login(rosa)
    assert (
        "Sample pairs"
        in client.get(reverse("admin:annotation_batch_change", args=(batch.pk,))).content.decode()
    )
    place = reverse("admin:annotation_batch_sample", args=(batch.pk,))
    assert "0.4 to 0.5" in client.get(place).content.decode()
    client.post(place)
    run = Run.objects.get()
    assert (run.params["prompts"], run.created_by) == (6, rosa)
    assert run.inputs["policies"] == [policies[1].pk, policies[0].pk], "the newest first"
