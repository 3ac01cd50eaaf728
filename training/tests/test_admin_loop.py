"""The week at a glance, iterations, and what the loop adds to a batch: one next thing to do, and its button."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from annotation.core.states import BatchState
from annotation.models import Batch, Comparison, Prompt, User
from annotation.services.batches import create_batch, open_batch, seal_batch
from annotation.services.snapshots import create_snapshot
from tests.factories import make_judgment, make_policy
from training.core.spec import RunKind
from training.core.states import IterationState
from training.models import Iteration, Run
from training.services import runs
from training.services.iterations import create_iteration, pause_iteration, start_next
from training.tests.outcomes import advance, fail, succeed

pytestmark = pytest.mark.django_db


@pytest.fixture
def client(as_user: Callable[[User], Client], rosa: User) -> Client:
    """Rosa's browser."""
    return as_user(rosa)


@pytest.fixture
def judged(week: Batch, ada: User, pairs: Callable[..., list[Comparison]]) -> Batch:
    pairs(3)
    Prompt.objects.update(in_pool=True)
    for _ in range(3):
        make_judgment(ada)
    return week


@pytest.fixture
def iteration(judged: Batch) -> Iteration:
    policy = make_policy("V0")
    return create_iteration(batch=judged, policy=policy, base=policy)


def week_page(client: Client) -> str:
    return client.get(reverse("admin:index")).content.decode()


def page(client: Client, iteration: Iteration) -> str:
    return client.get(reverse("admin:training_iteration_change", args=(iteration.pk,))).content.decode()


def filled(text: str) -> list[str]:
    """The labels of the filled buttons on a page."""
    return [part.partition(">")[2].partition("<")[0] for part in text.split('class="m-button m-filled"')[1:]]


def press(client: Client, iteration: Iteration) -> str:
    place = reverse("admin:training_iteration_next", args=(iteration.pk,))
    return client.post(place, follow=True).content.decode()


def test_a_new_house_is_led_from_policy_to_week_to_iteration(client: Client) -> None:
    assert filled(week_page(client)) == ["Import a policy"]
    make_policy("V0")
    assert filled(week_page(client)) == ["Plan a batch"]
    create_batch()
    assert filled(week_page(client)) == ["Begin V1"]


def test_rosa_begins_an_iteration(client: Client) -> None:
    policy, batch = make_policy("V0"), create_batch()
    given = {"batch": batch.pk, "policy": policy.pk, "base": policy.pk, "seed": 3}
    client.post(reverse("admin:training_iteration_add"), {**given, "params": '{"finetune": {"epochs": 3}}'})
    iteration = Iteration.objects.get()
    assert (iteration.number, iteration.seed, iteration.params) == (1, 3, {"finetune": {"epochs": 3}})


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ('["x"]', "object of objects"),
        ('{"finetune": 1}', "object of objects"),
        ('{"finetune": {"epochs": 0}}', "epochs"),
        ('{"dance": {}}', "no kind of run"),
        ("{", "valid JSON"),
    ],
)
def test_wrong_parameters_of_an_iteration_are_said_on_the_form(
    client: Client, params: str, words: str
) -> None:
    policy, batch = make_policy("V0"), create_batch()
    given = {"batch": batch.pk, "policy": policy.pk, "base": policy.pk, "seed": 3, "params": params}
    answer = client.post(reverse("admin:training_iteration_add"), given)
    assert words in answer.content.decode()
    assert not Iteration.objects.exists()


def test_each_stage_has_one_filled_button_and_it_leads_through_the_whole_turn(
    client: Client, iteration: Iteration
) -> None:
    assert filled(page(client, iteration)) == ["Seal the batch…"]
    client.post(reverse("admin:training_iteration_seal", args=(iteration.pk,)))
    seen = []
    while True:
        iteration.refresh_from_db()
        buttons = filled(page(client, iteration))
        assert len(buttons) == 1
        assert filled(week_page(client)) == buttons or iteration.state == IterationState.FED_BACK
        if iteration.state == IterationState.FED_BACK:
            break
        seen += buttons
        press(client, iteration)
        for run in Run.objects.filter(state="queued"):
            succeed(run)
    assert seen == [
        "Write the snapshot",
        "Train both reward models",
        "Sample and select",
        "Fine-tune on the winners",
        "Open the next week with the new policy",
    ]
    assert buttons == ["Go to V2"]


def test_sealing_is_asked_first_with_the_numbers(client: Client, iteration: Iteration) -> None:
    text = client.get(reverse("admin:training_iteration_seal", args=(iteration.pk,))).content.decode()
    assert "of 3; they become data" in text
    iteration.batch.refresh_from_db()
    assert iteration.batch.state == BatchState.OPEN


def test_while_runs_are_at_work_there_is_nothing_to_press(client: Client, iteration: Iteration) -> None:
    advance(iteration, to=IterationState.SNAPSHOT)
    press(client, iteration)
    text = page(client, iteration)
    assert filled(text) == []
    assert "At work: train reward model helpfulness-V1 (queued)" in text
    assert reverse("admin:training_iteration_live", args=(iteration.pk,)) in text


def test_a_failed_run_is_the_first_thing_said_and_can_be_tried_again(
    client: Client, iteration: Iteration
) -> None:
    advance(iteration, to=IterationState.SNAPSHOT)
    helpfulness, safety = start_next(iteration=iteration)
    succeed(safety)
    fail(helpfulness)
    text = page(client, iteration)
    assert filled(text) == ["Try again: train both reward models"]
    assert "failed: No pairs." in " ".join(text.split())
    assert f"?from={helpfulness.pk}" in text
    press(client, iteration)
    helpfulness.refresh_from_db()
    assert helpfulness.state == "queued"


def test_its_runs_are_asked_for_until_none_works_and_then_the_page_is_loaded_anew(
    client: Client, iteration: Iteration
) -> None:
    advance(iteration, to=IterationState.SNAPSHOT)
    both = start_next(iteration=iteration)
    place = reverse("admin:training_iteration_live", args=(iteration.pk,))
    assert "HX-Refresh" not in client.get(place).headers
    for run in both:
        succeed(run)
    assert client.get(place).headers["HX-Refresh"] == "true"


def test_the_landing_page_follows_its_runs_too(client: Client) -> None:
    place = reverse("admin:training_run_recent")
    run = runs.queue_run(kind=RunKind.IMPORT_POLICY, params={"source": "tiny"}, inputs={"name": "V0"})
    assert place in week_page(client)
    assert "HX-Refresh" not in client.get(place).headers
    runs.cancel_run(run=run)
    assert client.get(place).headers["HX-Refresh"] == "true"


def test_what_cannot_be_done_is_a_message(client: Client, iteration: Iteration) -> None:
    pause_iteration(iteration=iteration)
    assert "V1 is paused: nothing new starts" in press(client, iteration)


def test_the_next_stage_is_a_post_and_ada_presses_nothing(
    client: Client, as_user: Callable[[User], Client], ada: User, iteration: Iteration
) -> None:
    place = reverse("admin:training_iteration_next", args=(iteration.pk,))
    assert client.get(place).status_code == 405
    assert as_user(ada).post(place, follow=True).status_code == 403
    iteration.refresh_from_db()
    assert iteration.state == IterationState.COLLECTING


def test_a_batch_of_an_iteration_leads_back_to_it(client: Client, iteration: Iteration) -> None:
    place = reverse("admin:annotation_batch_change", args=(iteration.batch.pk,))
    assert filled(client.get(place).content.decode()) == ["Seal…"]
    seal_batch(batch=iteration.batch)
    assert filled(client.get(place).content.decode()) == ["Go on with V1"]


def test_both_reward_models_are_trained_from_a_batch(client: Client, rosa: User, judged: Batch) -> None:
    policy = make_policy("V0")
    seal_batch(batch=judged)
    snapshot = create_snapshot(batches=[judged])
    place = reverse("admin:annotation_batch_change", args=(judged.pk,))
    assert filled(client.get(place).content.decode()) == ["Train reward models…"]
    client.post(
        reverse("admin:annotation_batch_train", args=(judged.pk,)),
        {"snapshot": snapshot.pk, "backbone": policy.pk},
    )
    both = Run.objects.order_by("pk")
    assert [run.params["focus"] for run in both] == ["helpfulness", "safety"]
    assert all(run.inputs["snapshot"] == snapshot.pk and run.created_by == rosa for run in both)


def test_a_batch_without_a_snapshot_trains_nothing(client: Client, judged: Batch) -> None:
    place = reverse("admin:annotation_batch_train", args=(judged.pk,))
    assert "no snapshot yet" in client.get(place, follow=True).content.decode()


def test_a_snapshot_of_another_batch_is_no_choice(client: Client, judged: Batch) -> None:
    policy, other = make_policy("V0"), open_batch(batch=create_batch())
    for batch in (judged, other):
        seal_batch(batch=batch)
    snapshot, empty = create_snapshot(batches=[judged]), create_snapshot(batches=[other])
    client.post(
        reverse("admin:annotation_batch_train", args=(other.pk,)),
        {"snapshot": snapshot.pk, "backbone": policy.pk},
    )
    assert not Run.objects.exists()
    assert empty.rows == 0


@pytest.mark.parametrize("name", ["iteration", "policyversion"])
def test_lists_ask_no_more_for_many_rows(
    client: Client, name: str, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    base = make_policy("base")
    for number in range(15):
        policy = make_policy(f"V{number}", parent=base, adapter_on=base)
        create_iteration(batch=create_batch(), policy=policy, base=base)
    with django_assert_max_num_queries(7):
        client.get(reverse(f"admin:training_{name}_changelist"))


def test_the_landing_page_is_cheap(
    client: Client, iteration: Iteration, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    advance(iteration, to=IterationState.SNAPSHOT)
    start_next(iteration=iteration)
    with django_assert_max_num_queries(16):
        week_page(client)
