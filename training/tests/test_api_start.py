"""Starting runs through the API: a closed body a kind, each wrong field named, nothing started by half."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from annotation.core.grades import Focus
from annotation.core.scopes import Scope
from annotation.core.states import SnapshotState
from annotation.models import Batch, Comparison, Prompt, Snapshot, User
from annotation.services.tokens import make_token
from rewardmodel.tests.scores import make_version
from tests.factories import make_policy
from training.api.starting import BODIES
from training.core.spec import SPECS, RunKind
from training.core.states import RunState
from training.models import Run

pytestmark = pytest.mark.django_db


@pytest.fixture
def client(as_user: Callable[[User], Client], rosa: User) -> Client:
    """Rosa's browser."""
    return as_user(rosa)


@pytest.fixture
def house(pairs: Callable[..., list[Comparison]]) -> Snapshot:
    """Two prompts of the pool, a policy, a reward model of each focus, and a snapshot that is ready."""
    pairs(2)
    Prompt.objects.update(in_pool=True)
    make_policy("V0")
    make_version("h")
    make_version("s", Focus.SAFETY)
    Snapshot.objects.update(state=SnapshotState.READY)
    return Snapshot.objects.get()


def post(client: Client, body: Any) -> Any:
    return client.post("/api/v1/runs", body, content_type="application/json")


def refused(client: Client, body: Any, status: int = 422) -> dict[str, str]:
    """The reason for each field."""
    answer = post(client, body)
    assert answer.status_code == status, answer.content
    return {error["field"]: error["reason"] for error in answer.json()["errors"]}


def bodies(house: Snapshot) -> dict[str, dict[str, Any]]:
    """The least that each kind takes."""
    winners = Run.objects.create(kind=RunKind.REJECTION_SAMPLE, state=RunState.SUCCEEDED)
    batch = Batch.objects.get().number
    return {
        "import_policy": {"name": "new", "source": "tiny"},
        "sample": {"batch": batch, "policies": ["V0"]},
        "train_reward_model": {"name": "h2", "focus": "helpfulness", "snapshot": house.pk, "backbone": "V0"},
        "score_pairs": {"batch": batch, "helpfulness": "h"},
        "rejection_sample": {"policy": "V0", "helpfulness": "h", "safety": "s"},
        "finetune": {"name": "V1", "base": "V0", "selection": str(winners.uid)},
        "ppo": {"name": "V1", "policy": "V0", "helpfulness": "h", "safety": "s"},
        "gatt": {"policy": "V0"},
        "distill": {"policy": "V0", "safety": "s"},
        "self_chat": {"policy": "V0"},
    }


@pytest.mark.parametrize("kind", list(BODIES))
def test_each_kind_is_started_by_the_least_that_it_takes(
    client: Client, rosa: User, house: Snapshot, kind: str
) -> None:
    answer = post(client, {"kind": kind, **bodies(house)[kind]})
    assert answer.status_code == 201, answer.content
    run = Run.objects.get(uid=answer.json()["uid"])
    assert answer["Location"] == f"/api/v1/runs/{run.uid}"
    assert (run.kind, run.state, run.created_by) == (kind, RunState.QUEUED, rosa)
    assert run.params.keys() == SPECS[RunKind(kind)].model_fields.keys()


def test_parameters_stand_beside_what_the_run_works_on(client: Client, house: Snapshot) -> None:
    body = {"kind": "sample", **bodies(house)["sample"], "temperatures": [0.5, 1], "prompts": 1, "seed": 3}
    shown = post(client, body).json()
    assert (shown["params"]["temperatures"], shown["params"]["prompts"], shown["seed"]) == ([0.5, 1.0], 1, 3)
    assert shown["inputs"] == {"batch": body["batch"], "policies": ["V0"], "prompts": 1}


@pytest.mark.parametrize("kind", ["score", "dance", None, 3])
def test_a_body_without_a_kind_is_told_the_kinds(client: Client, kind: Any) -> None:
    reason = refused(client, {"kind": kind})["kind"]
    assert "import_policy, sample, train_reward_model" in reason
    assert ("POST reward-models/{id}/score" in reason) == (kind == "score")


@pytest.mark.parametrize("body", ["[]", "3", "{", '"a"'])
def test_what_is_no_object_is_refused(client: Client, body: str) -> None:
    refused(client, body)


def test_every_wrong_field_is_named(client: Client, house: Snapshot) -> None:
    body = {**bodies(house)["train_reward_model"], "epochs": "3", "l2": 0, "epoch": 1, "name": " a"}
    del body["focus"]
    found = refused(client, {"kind": "train_reward_model", **body})
    assert found.keys() == {"epochs", "l2", "epoch", "name", "focus"}
    assert not Run.objects.filter(kind=RunKind.TRAIN_REWARD_MODEL).exists()


@pytest.mark.parametrize(
    ("kind", "field", "value", "where"),
    [
        ("sample", "batch", 99, "GET batches"),
        ("sample", "policies", ["V0", "V9"], "GET policies"),
        ("train_reward_model", "snapshot", 99, "GET snapshots"),
        ("train_reward_model", "backbone", "V9", "GET policies"),
        ("rejection_sample", "safety", "none", "GET reward-models"),
        ("finetune", "selection", "9b2f6c1e-0000-4000-8000-000000000000", "GET runs?kind=rejection_sample"),
    ],
)
def test_what_is_not_there_is_named_with_where_to_look(
    client: Client, house: Snapshot, kind: str, field: str, value: Any, where: str
) -> None:
    answer = post(client, {"kind": kind, **bodies(house)[kind], field: value})
    assert answer.status_code == 409
    found = {error["field"]: error["reason"] for error in answer.json()["errors"]}
    assert f"{where} lists what there is." in found[field]


def test_what_does_not_fit_is_a_conflict(client: Client, house: Snapshot) -> None:
    crossed = {"kind": "rejection_sample", "policy": "V0", "helpfulness": "s", "safety": "h"}
    answer = post(client, crossed)
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    assert "choose a helpfulness model" in answer.json()["detail"]
    assert post(client, {"kind": "score_pairs", "batch": 1}).status_code == 409


@pytest.mark.parametrize("state", [SnapshotState.WAITING, SnapshotState.WITHDRAWN])
def test_a_snapshot_that_is_not_ready_trains_nothing(
    client: Client, house: Snapshot, state: SnapshotState
) -> None:
    Snapshot.objects.update(state=state)
    answer = post(client, {"kind": "train_reward_model", **bodies(house)["train_reward_model"]})
    assert answer.status_code == 409
    assert f"is {state}: train on one that is ready" in answer.json()["detail"]


def test_a_name_in_use_is_a_conflict(client: Client, house: Snapshot) -> None:
    answer = post(client, {"kind": "import_policy", "name": "V0", "source": "tiny"})
    assert answer.status_code == 409
    assert "There is a policy named 'V0' already" in answer.json()["detail"]


def test_only_a_researcher_with_the_scope_starts_runs(
    as_user: Callable[[User], Client], ada: User, rosa: User, house: Snapshot
) -> None:
    body = {"kind": "import_policy", "name": "new", "source": "tiny"}
    assert post(as_user(ada), body).status_code == 403
    assert post(Client(), body).status_code == 401
    for scope, status in ((Scope.MODELS_READ, 403), (Scope.RUNS_WRITE, 201)):
        _, text = make_token(user=rosa, name="t", scopes=[scope])
        answer = Client().post(
            "/api/v1/runs",
            body,
            content_type="application/json",
            headers={"Authorization": f"Bearer {text}"},
        )
        assert answer.status_code == status
    assert Run.objects.count() == 1


def test_a_run_that_was_asked_for_twice_under_one_name_is_started_once(client: Client) -> None:
    body = {"kind": "import_policy", "name": "new", "source": "tiny"}
    first, second = (
        client.post(
            "/api/v1/runs", body, content_type="application/json", headers={"Idempotency-Key": "mine"}
        )
        for _ in range(2)
    )
    assert first.json()["uid"] == second.json()["uid"]
    assert second["Idempotency-Replayed"] == "true"
    assert Run.objects.count() == 1
