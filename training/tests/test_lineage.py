"""Lineage in both directions: what lies behind a policy, what a judgment has shaped, and that the two agree."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from annotation.core.recipe import Recipe as SnapshotRecipe
from annotation.models import Batch, Comparison, Judgment, Snapshot, User
from annotation.services.snapshots import request_snapshot, write_snapshot
from rewardmodel.services.promotions import override_promotion
from tests.factories import make_judgment, make_policy
from training.api import lineage as api
from training.core.recipe import PRESETS
from training.lineage import Lineage, judgment_lineage, judgments_behind, policy_lineage
from training.models import Iteration, PolicyVersion
from training.tests.turns import begin, go_through

pytestmark = pytest.mark.django_db
Pairs = Callable[..., list[Comparison]]
QUERIES = 5  # runs, policies, reward models, snapshots, weeks


@pytest.fixture
def first(week: Batch, ada: User, pairs: Pairs) -> Iteration:
    """V1 with all the preset full has, complete."""
    iteration = begin(week, ada, pairs, recipe=PRESETS["full"])
    go_through(iteration)
    return iteration


@pytest.fixture
def second(first: Iteration, ada: User, rosa: User) -> Iteration:
    """V2 behind it, whose one pair was judged, and whose reward models somebody made current."""
    iteration = Iteration.objects.get(number=2)
    make_judgment(ada)
    go_through(iteration, until="train_reward_model/safety")
    iteration.refresh_from_db()
    for version in (iteration.helpfulness, iteration.safety):
        assert version is not None
        override_promotion(version=version, reason="The rule has no figures to go by here.", by=rosa)
    go_through(iteration)
    return iteration


def test_a_reward_model_that_did_not_become_current_has_shaped_no_policy(first: Iteration, ada: User) -> None:
    following = Iteration.objects.get(number=2)
    make_judgment(ada)
    go_through(following)
    found = names(policy_lineage(tuned(following)))
    assert (found["batches"], found["reward_models"]) == (["Week 1"], ["helpfulness-V1", "safety-V1"])


def tuned(iteration: Iteration) -> PolicyVersion:
    assert iteration.tuned is not None
    return iteration.tuned


def names(lineage: Lineage) -> dict[str, Any]:
    return {
        "runs": [run.kind for run in lineage.runs],
        "policies": [one.name for one in lineage.policies],
        "reward_models": [one.name for one in lineage.reward_models],
        "batches": [one.name for one in lineage.batches],
        "judgments": lineage.judgments,
    }


def test_behind_a_policy_is_everything_that_it_was_made_of(first: Iteration) -> None:
    found = names(policy_lineage(tuned(first)))
    assert sorted(found.pop("runs")) == sorted(
        ["train_reward_model", "train_reward_model", "rejection_sample", "distill", "gatt", "finetune", "ppo"]
    )
    assert found == {
        "policies": ["V0", "policy-V1-finetune"],
        "reward_models": ["helpfulness-V1", "safety-V1"],
        "batches": ["Week 1"],
        "judgments": 3,
    }


def test_what_is_learnt_over_weeks_adds_up(first: Iteration, second: Iteration) -> None:
    found = names(policy_lineage(tuned(second)))
    assert found["batches"] == ["Week 1", "Week 2"]
    assert found["judgments"] == 4
    assert {"policy-V1", "policy-V1-finetune", "policy-V2-finetune", "V0"} == set(found["policies"])
    assert found["runs"].count("sample") == 1  # the run that sampled week 2
    assert set(judgments_behind(tuned(second))) == set(Judgment.objects.effective())


def test_a_judgment_has_shaped_all_that_came_of_its_week_and_nothing_before(
    first: Iteration, second: Iteration
) -> None:
    old = Judgment.objects.effective().filter(comparison__batch=first.batch)[0]
    new = Judgment.objects.effective().get(comparison__batch=second.batch)
    assert {one.name for one in judgment_lineage(old).policies} == {
        "policy-V1-finetune",
        "policy-V1",
        "policy-V2-finetune",
        "policy-V2",
    }
    after = judgment_lineage(new)
    assert {one.name for one in after.policies} == {"policy-V2-finetune", "policy-V2"}
    assert [one.name for one in after.reward_models] == ["helpfulness-V2", "safety-V2"]


def test_both_directions_agree(first: Iteration, second: Iteration) -> None:
    for policy in PolicyVersion.objects.all():
        behind = set(judgments_behind(policy))
        for judgment in Judgment.objects.all():
            shaped = {one.pk for one in judgment_lineage(judgment).policies}
            assert (judgment in behind) == (policy.pk in shaped), (policy, judgment)


@pytest.mark.parametrize(
    "given",
    [
        {"focuses": ["safety"]},
        {"languages": ["de"]},
        {"categories": ["cooking"]},
        {"without_annotators": "ada"},
        {"without_prompts": "first"},
        {},
    ],
)
def test_a_snapshot_shapes_only_with_the_judgments_that_its_recipe_takes(
    first: Iteration, ada: User, given: dict[str, Any]
) -> None:
    """Both ways of asking, the database's and ours of one row, for every kind of filter."""
    if "without_annotators" in given:
        given = {"without_annotators": [ada.pseudonym]}
    if "without_prompts" in given:
        given = {"without_prompts": [Comparison.objects.filter(batch=first.batch)[0].dialogue.prompt.key]}
    recipe = SnapshotRecipe.model_validate({"batches": [1], "min_judgments": 1, **given})
    snapshot = write_snapshot(snapshot=request_snapshot(recipe=recipe, name="own"))
    kept = {
        one.pk
        for one in Judgment.objects.all()
        if snapshot.pk in {row.pk for row in judgment_lineage(one).snapshots}
    }
    other = make_policy("other")
    first.steps.update(reused=True)
    version = first.helpfulness
    assert version is not None
    type(version).objects.filter(pk=version.pk).update(snapshot=snapshot, backbone=other.name)
    assert kept <= set(judgments_behind(tuned(first)).values_list("pk", flat=True))
    assert len(kept) == snapshot.counts.get("judgments", len(kept))
    assert bool(kept) == bool(snapshot.rows)


def test_a_judgment_that_does_not_count_has_shaped_nothing(first: Iteration) -> None:
    Judgment.objects.filter(comparison__batch=first.batch).update(current=False)
    lineage = judgment_lineage(Judgment.objects.all()[0])
    assert lineage == Lineage([], [], [], [], [], 0)


def test_a_policy_that_was_imported_has_nothing_behind_it(first: Iteration) -> None:
    assert policy_lineage(first.base) == Lineage([], [], [], [], [], 0)


def test_lineage_asks_no_more_for_a_longer_story(
    first: Iteration, django_assert_num_queries: DjangoAssertNumQueries, ada: User
) -> None:
    def ask(iteration: Iteration) -> None:
        policy = tuned(iteration)
        with django_assert_num_queries(QUERIES + 2):  # how many judgments, and who sampled the weeks
            policy_lineage(policy)
        judgment = Judgment.objects.order_by("pk")[0]
        with django_assert_num_queries(QUERIES + 1):  # what recipes ask of it
            judgment_lineage(judgment)

    ask(first)
    following = Iteration.objects.get(number=2)
    make_judgment(ada)
    go_through(following)
    ask(following)


@pytest.fixture
def client(as_user: Callable[[User], Client], rosa: User) -> Client:
    """Rosa's browser."""
    return as_user(rosa)


def test_the_api_tells_it_and_pages_through_the_judgments(client: Client, first: Iteration) -> None:
    answer = client.get(f"/api/v1/policies/{tuned(first).pk}/lineage").json()
    assert set(answer) == set(api.EXAMPLE)
    assert answer["batches"] == [{"number": 1, "name": "Week 1"}]
    page = client.get(f"/api/v1/policies/{tuned(first).pk}/judgments", {"page_size": 2}).json()
    assert len(page["results"]) == 2
    assert page["next"]
    uid = page["results"][0]["uid"]
    shaped = client.get(f"/api/v1/judgments/{uid}/lineage").json()
    assert tuned(first).pk in {one["id"] for one in shaped["policies"]}


def test_who_may_not_see_policies_sees_no_lineage(
    as_user: Callable[[User], Client], ada: User, first: Iteration
) -> None:
    for path in ("lineage", "judgments"):
        assert as_user(ada).get(f"/api/v1/policies/{tuned(first).pk}/{path}").status_code == 403


def test_lineage_of_what_is_not_there_is_not_found(client: Client) -> None:
    assert client.get("/api/v1/policies/99/lineage").status_code == 404
    assert client.get("/api/v1/policies/99/judgments").status_code == 404


def test_the_page_of_a_policy_shows_what_lies_behind_it(client: Client, first: Iteration) -> None:
    text = client.get(
        reverse("admin:training_policyversion_change", args=(tuned(first).pk,))
    ).content.decode()
    assert "What lies behind it" in text
    assert "helpfulness-V1" in text


def test_a_withdrawn_snapshot_still_lies_behind_what_it_shaped(first: Iteration) -> None:
    Snapshot.objects.update(state="withdrawn")
    assert policy_lineage(tuned(first)).judgments == 3
