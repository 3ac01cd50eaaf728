"""Pages of an iteration: its plan, pause and resume, forks, and buttons on old pages."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from annotation.models import Batch, Comparison, User
from annotation.services.batches import create_batch
from tests.factories import make_policy
from training.models import Iteration, Run
from training.services.iterations import start_next
from training.tests.turns import begin, go_through

pytestmark = pytest.mark.django_db
Pairs = Callable[..., list[Comparison]]


@pytest.fixture
def client(as_user: Callable[[User], Client], rosa: User) -> Client:
    """Rosa's browser."""
    return as_user(rosa)


@pytest.fixture
def iteration(week: Batch, ada: User, pairs: Pairs) -> Iteration:
    return begin(week, ada, pairs)


def place(name: str, iteration: Iteration) -> str:
    return reverse(f"admin:training_iteration_{name}", args=(iteration.pk,))


def text(client: Client, name: str, iteration: Iteration) -> str:
    return " ".join(client.get(place(name, iteration)).content.decode().split())


def post(client: Client, address: str, **given: Any) -> str:
    return " ".join(client.post(address, given, follow=True).content.decode().split())


def begun(client: Client, **given: Any) -> str:
    policy, batch = make_policy("V0"), create_batch()
    shared = {"batch": batch.pk, "policy": policy.pk, "base": policy.pk, "seed": 3, "params": "{}"}
    return post(client, reverse("admin:training_iteration_add"), **shared, **given)


def test_rosa_composes_one_from_a_recipe_and_is_shown_its_plan(client: Client) -> None:
    page = begun(client, recipe="full", automatic="on")
    iteration = Iteration.objects.get()
    assert iteration.automatic
    assert [step.kind for step in iteration.steps.all()][-2:] == ["ppo", "sample"]
    assert "Nothing on this page has been started" in page
    assert "the targets of gatt" in page


def test_an_own_recipe_takes_the_place_of_the_named_one(client: Client) -> None:
    begun(client, recipe="full", steps=json.dumps({"steps": [{"kind": "gatt"}]}))
    assert [step.name for step in Iteration.objects.get().steps.all()] == ["seal", "snapshot", "gatt"]


def test_a_recipe_that_does_not_fit_is_said_on_the_form(client: Client) -> None:
    page = begun(client, steps=json.dumps({"steps": [{"kind": "finetune"}]}))
    assert "nothing to learn from" in page
    assert not Iteration.objects.exists()


def test_the_plan_names_parameters_and_what_cannot_be_told(client: Client, iteration: Iteration) -> None:
    page = text(client, "plan", iteration)
    assert "prompts 2" in page
    assert "unknown" in page
    assert "3 of 3 pairs are complete" in page
    assert not Run.objects.exists()


def test_rosa_pauses_and_resumes(client: Client, iteration: Iteration) -> None:
    post(client, place("pause", iteration))
    assert "nothing new starts" in text(client, "change", iteration)
    assert "Resume" in text(client, "change", iteration)
    post(client, place("resume", iteration))
    iteration.refresh_from_db()
    assert iteration.paused_at is None


def test_a_pause_that_cancels_is_offered_while_runs_work(client: Client, iteration: Iteration) -> None:
    assert "Pause and cancel its runs" not in text(client, "change", iteration)
    go_through(iteration, until="snapshot")
    start_next(iteration=iteration)
    assert "Pause and cancel its runs" in text(client, "change", iteration)
    post(client, f"{place('pause', iteration)}?cancel=yes")
    assert set(Run.objects.values_list("state", flat=True)) == {"cancelled"}


def test_a_button_on_an_old_page_is_answered_with_who_was_first(client: Client, iteration: Iteration) -> None:
    seen = iteration.turn
    start_next(iteration=iteration)
    assert "somebody else was first" in post(client, f"{place('next', iteration)}?seen={seen}")
    iteration.refresh_from_db()
    assert iteration.state == "sealed"


def test_rosa_forks_at_a_step_with_other_parameters(client: Client, iteration: Iteration) -> None:
    go_through(iteration)
    assert "Fork…" in text(client, "change", iteration)
    page = post(client, place("fork", iteration), at="finetune", params='{"finetune": {"epochs": 3}}')
    fork = Iteration.objects.get(source=iteration)
    assert (fork.source_step, fork.steps.get(name="finetune").params) == ("finetune", {"epochs": 3})
    assert "epochs 3" in page
    assert "used again" in page


def test_a_fork_is_offered_only_where_all_before_it_is_done(client: Client, iteration: Iteration) -> None:
    go_through(iteration, until="snapshot")
    page = text(client, "fork", iteration)
    assert 'value="train_reward_model/helpfulness"' in page
    assert 'value="train_reward_model/safety"' not in page


def test_what_keeps_an_automatic_iteration_is_said_on_its_page(client: Client, iteration: Iteration) -> None:
    Iteration.objects.filter(pk=iteration.pk).update(stuck="The prompt pool is empty.")
    assert "did not start by itself.</b> The prompt pool is empty." in text(client, "change", iteration)


def test_ada_pauses_and_forks_nothing(
    as_user: Callable[[User], Client], ada: User, iteration: Iteration
) -> None:
    for name in ("pause", "resume", "fork", "plan"):
        assert as_user(ada).post(place(name, iteration), follow=True).status_code == 403
    iteration.refresh_from_db()
    assert (iteration.paused_at, Iteration.objects.count()) == (None, 1)
