"""Starting runs from the admin: each kind with the right inputs, wrong values said at their fields."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django.utils.html import escape
from pytest_django import DjangoCaptureOnCommitCallbacks

from annotation.models import Batch, Comparison, Prompt, Snapshot, User
from annotation.services.batches import create_batch, open_batch, seal_batch
from annotation.services.snapshots import create_snapshot
from rewardmodel.models import RewardModelVersion
from tests.factories import make_judgment, make_policy
from training.core.spec import SPECS, RunKind
from training.core.states import IterationState, RunState
from training.forms import FORMS
from training.models import Iteration, PolicyVersion, Run, WorkerBeat
from training.services.iterations import create_iteration, start_next
from training.tests.outcomes import advance, fail

pytestmark = pytest.mark.django_db

KINDS = list(FORMS)


@pytest.fixture
def client(as_user: Callable[[User], Client], rosa: User) -> Client:
    """Rosa's browser."""
    return as_user(rosa)


@pytest.fixture
def snapshot(week: Batch, ada: User, pairs: Callable[..., list[Comparison]]) -> Snapshot:
    pairs(2)
    for _ in range(2):
        make_judgment(ada)
    Prompt.objects.update(in_pool=True)
    seal_batch(batch=week)
    return create_snapshot(batches=[week])


@pytest.fixture
def policy(db: None) -> PolicyVersion:
    return make_policy("V0")


def reward_model(snapshot: Snapshot, focus: str) -> RewardModelVersion:
    return RewardModelVersion.objects.create(
        name=f"{focus}-1",
        focus=focus,
        recipe="probe",
        snapshot=snapshot,
        backbone="V0",
        path=f"runs/{focus}",
        sha256="0" * 64,
        run=f"made-{focus}",
    )


def place(kind: str) -> str:
    return reverse("admin:training_run_start_kind", args=(kind,))


def values(kind: RunKind, **given: Any) -> dict[str, Any]:
    """What a browser sends for a form that was changed in `given` alone."""
    sent = {}
    for name, info in SPECS[kind].model_fields.items():
        default = None if info.is_required() else info.default
        if isinstance(default, tuple):
            sent[name] = ", ".join(map(str, default))
        elif default is True:
            sent[name] = "on"
        elif default is not None and default is not False:
            sent[name] = str(default)
    return {"seed": 0, **sent, **given}


def only_run() -> Run:
    return Run.objects.get()


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_its_page(client: Client, kind: RunKind) -> None:
    answer = client.get(place(kind))
    assert answer.status_code == 200
    for info in SPECS[kind].model_fields.values():
        assert escape((info.description or "")[:20]) in answer.content.decode()


def test_all_kinds_are_offered_on_one_page(client: Client) -> None:
    text = client.get(reverse("admin:training_run_start")).content.decode()
    assert all(place(kind) in text for kind in KINDS)


def test_an_unknown_kind_is_not_found(client: Client) -> None:
    assert client.get(place("dance")).status_code == 404


@pytest.mark.parametrize("kind", KINDS)
def test_ada_starts_nothing(as_user: Callable[[User], Client], ada: User, kind: RunKind) -> None:
    assert as_user(ada).post(place(kind), {"source": "tiny"}, follow=True).status_code == 403
    assert not Run.objects.exists()


def test_a_policy_is_imported(
    client: Client,
    rosa: User,
    announced: list[int],
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        answer = client.post(place("import_policy"), values(RunKind.IMPORT_POLICY, source="tiny", name=""))
    run = only_run()
    assert answer.headers["Location"] == reverse("admin:training_run_change", args=(run.pk,))
    assert (run.kind, run.inputs, run.created_by) == ("import_policy", {"name": "V0"}, rosa)
    assert run.params == {"source": "tiny", "template": "model"}
    assert announced == [run.pk]


def test_pairs_are_sampled_from_two_policies(
    client: Client, snapshot: Snapshot, policy: PolicyVersion
) -> None:
    batch, newer = open_batch(batch=create_batch()), make_policy("V1")
    given = {"batch": batch.pk, "newest": newer.pk, "previous": policy.pk, "seed": 5}
    client.post(place("sample"), values(RunKind.SAMPLE, **given, temperatures="0.5, 1.1", prompts=2))
    run = only_run()
    assert (run.inputs["batch"], run.inputs["policies"]) == (batch.pk, [newer.pk, policy.pk])
    assert (run.params["temperatures"], run.seed) == ([0.5, 1.1], 5)


def test_one_policy_may_answer_both_sides(client: Client, snapshot: Snapshot, policy: PolicyVersion) -> None:
    batch = create_batch()
    client.post(place("sample"), values(RunKind.SAMPLE, batch=batch.pk, newest=policy.pk, previous=""))
    assert only_run().inputs["policies"] == [policy.pk]


def test_a_reward_model_is_trained_under_a_name_that_says_what_it_is(
    client: Client, snapshot: Snapshot, policy: PolicyVersion
) -> None:
    given = {"snapshot": snapshot.pk, "backbone": policy.pk, "focus": "safety", "recipe": "lora", "name": ""}
    client.post(place("train_reward_model"), values(RunKind.TRAIN_REWARD_MODEL, **given))
    run = only_run()
    assert run.inputs["name"].startswith("safety-week-1-small")
    assert (run.inputs["snapshot"], run.inputs["backbone"]) == (snapshot.pk, policy.pk)
    assert (run.params["focus"], run.params["recipe"]) == ("safety", "lora")


def test_winners_are_selected_by_two_reward_models(
    client: Client, snapshot: Snapshot, policy: PolicyVersion
) -> None:
    helpful, safe = reward_model(snapshot, "helpfulness"), reward_model(snapshot, "safety")
    given = {"policy": policy.pk, "helpfulness": helpful.pk, "safety": safe.pk, "samples_per_prompt": 8}
    client.post(place("rejection_sample"), values(RunKind.REJECTION_SAMPLE, **given))
    run = only_run()
    assert (run.inputs["helpfulness"], run.inputs["safety"]) == (helpful.pk, safe.pk)
    assert run.params["samples_per_prompt"] == 8


def test_a_model_of_the_wrong_focus_is_not_among_the_choices(
    client: Client, snapshot: Snapshot, policy: PolicyVersion
) -> None:
    helpful = reward_model(snapshot, "helpfulness")
    given = {"policy": policy.pk, "helpfulness": helpful.pk, "safety": helpful.pk}
    text = client.post(place("rejection_sample"), values(RunKind.REJECTION_SAMPLE, **given)).content.decode()
    assert "That choice is not one of the available choices" in text
    assert not Run.objects.exists()


def test_a_policy_is_tuned_on_the_winners(client: Client, policy: PolicyVersion) -> None:
    selection = Run.objects.create(kind=RunKind.REJECTION_SAMPLE, state=RunState.SUCCEEDED)
    given = {"base": policy.pk, "selection": selection.pk, "name": "V1", "every_iteration": ""}
    client.post(place("finetune"), values(RunKind.FINETUNE, **given))
    run = Run.objects.get(kind=RunKind.FINETUNE)
    assert run.inputs == {"name": "V1", "base": policy.pk, "selections": [selection.pk]}
    assert run.params["every_iteration"] is False


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("epochs", "0", "greater than or equal to 1"),
        ("learning_rate", "0", "greater than 0"),  # known to pydantic alone
        ("learning_rate", "fast", "Enter a number"),
        ("recipe", "magic", "Select a valid choice"),
        ("max_length", "", "This field is required"),
    ],
)
def test_a_wrong_parameter_is_said_at_its_field_and_queues_nothing(
    client: Client, policy: PolicyVersion, field: str, value: str, reason: str
) -> None:
    selection = Run.objects.create(kind=RunKind.REJECTION_SAMPLE, state=RunState.SUCCEEDED)
    given = {"base": policy.pk, "selection": selection.pk, "name": "V1", field: value}
    answer = client.post(place("finetune"), values(RunKind.FINETUNE, **given))
    assert answer.status_code == 200
    assert reason in str(answer.context["form"].errors[field])
    assert reason in answer.content.decode()
    assert not Run.objects.filter(kind=RunKind.FINETUNE).exists()


def test_what_the_service_refuses_stands_above_the_form(client: Client, policy: PolicyVersion) -> None:
    answer = client.post(place("import_policy"), values(RunKind.IMPORT_POLICY, source="tiny", name="V0"))
    assert "There is a policy named" in answer.content.decode()
    assert not Run.objects.exists()


def test_what_is_missing_is_said_before_anybody_fills_the_form(client: Client) -> None:
    assert "There is no snapshot yet" in client.get(place("train_reward_model")).content.decode()


def test_without_a_worker_the_page_says_so(client: Client) -> None:
    assert "No worker is running" in client.get(place("import_policy")).content.decode()
    WorkerBeat.objects.create(name="w", seen_at=timezone.now())
    assert "No worker is running" not in client.get(place("import_policy")).content.decode()


def test_another_run_fills_the_form(client: Client, snapshot: Snapshot, policy: PolicyVersion) -> None:
    given = {"snapshot": snapshot.pk, "backbone": policy.pk, "focus": "safety", "l2": 0.25, "seed": 9}
    client.post(place("train_reward_model"), values(RunKind.TRAIN_REWARD_MODEL, **given, name="mine"))
    answer = client.get(f"{place('train_reward_model')}?from={only_run().pk}")
    form = answer.context["form"]
    assert [form[name].value() for name in ("focus", "l2", "seed", "name")] == ["safety", 0.25, 9, ""]


@pytest.mark.parametrize("given", ["x", "404", "-1", "9" * 30, ""])
def test_a_run_that_is_not_there_fills_nothing(client: Client, given: str) -> None:
    assert client.get(f"{place('import_policy')}?from={given}").status_code == 200


@pytest.fixture
def failed(week: Batch, ada: User, pairs: Callable[..., object], policy: PolicyVersion) -> Run:
    """The helpfulness model of V1, whose training failed."""
    pairs(2)
    for _ in range(2):
        make_judgment(ada)
    iteration = create_iteration(batch=week, policy=policy, base=policy)
    advance(iteration, to=IterationState.SNAPSHOT)
    run = start_next(iteration=iteration)[0]
    fail(run)
    run.refresh_from_db()
    return run


def train_like(run: Run, **given: Any) -> dict[str, Any]:
    inputs = {"snapshot": run.inputs["snapshot"], "backbone": run.inputs["backbone"], "name": ""}
    return values(RunKind.TRAIN_REWARD_MODEL, **{**inputs, "focus": "helpfulness", **given})


def test_a_failed_stage_goes_on_with_other_parameters(client: Client, failed: Run) -> None:
    address = f"{place('train_reward_model')}?from={failed.pk}"
    key, iteration = failed.key, failed.iteration
    assert "In its place in V1" in client.get(address).content.decode()
    client.post(address, train_like(failed, l2=2, instead="on", name="helpfulness-V1"))
    run = Run.objects.get(key=key)
    failed.refresh_from_db()
    assert (run.params["l2"], run.iteration, failed.key) == (2.0, iteration, None)
    assert iteration is not None
    assert start_next(iteration=Iteration.objects.get(pk=iteration.pk))[0] == run


def test_what_does_not_fit_the_stage_does_not_take_its_place(client: Client, failed: Run) -> None:
    address = f"{place('train_reward_model')}?from={failed.pk}"
    text = client.post(address, train_like(failed, focus="safety", instead="on", name="s")).content.decode()
    assert "only name, seed and parameters may differ" in text
    assert not Run.objects.filter(inputs__name="s").exists()
    failed.refresh_from_db()
    assert failed.key is not None


def test_a_run_beside_the_loop_leaves_the_stage_alone(client: Client, failed: Run) -> None:
    client.post(f"{place('train_reward_model')}?from={failed.pk}", train_like(failed, name="aside"))
    run = Run.objects.get(inputs__name="aside")
    failed.refresh_from_db()
    assert (run.key, run.iteration) == (None, None)
    assert failed.key is not None
