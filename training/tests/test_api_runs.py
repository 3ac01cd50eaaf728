"""Runs, policies, reward models and iterations through the API: who sees what, what may be asked, what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from annotation.core.grades import Focus
from annotation.core.scopes import Scope
from annotation.models import Batch, User
from annotation.services.tokens import make_token
from rewardmodel.services import beat_scorer, dismiss_scorer
from rewardmodel.tests.scores import make_version
from tests.factories import make_policy
from training.core.events import Event
from training.core.spec import RunKind
from training.core.states import RunState
from training.models import Run
from training.services import runs
from training.services.iterations import create_iteration
from training.services.start import start_import_policy

pytestmark = pytest.mark.django_db

COLLECTIONS = ("reward-models", "policies", "runs", "iterations")


@pytest.fixture
def client(as_user: Callable[[User], Client], rosa: User) -> Client:
    """Rosa's browser."""
    return as_user(rosa)


def get(client: Client, path: str, **query: Any) -> Any:
    return client.get(f"/api/v1/{path}", query).json()


def queued(name: str = "V0", **options: Any) -> Run:
    return start_import_policy(name=name, params={"source": "tiny"}, **options)


@pytest.fixture
def one_of_each(week: Batch, rosa: User) -> dict[str, str]:
    """The address of one row of each collection."""
    policy = make_policy()
    return {
        "reward-models": str(make_version().pk),
        "policies": str(policy.pk),
        "runs": str(queued("V9", by=rosa).uid),
        "iterations": str(create_iteration(batch=week, policy=policy, base=policy).pk),
    }


@pytest.mark.parametrize("path", COLLECTIONS)
def test_rosa_finds_in_the_list_what_its_own_address_shows(
    client: Client, one_of_each: dict[str, str], path: str
) -> None:
    (row,) = get(client, path)["results"]
    whole = get(client, f"{path}/{one_of_each[path]}")
    assert row.items() <= whole.items()


@pytest.mark.parametrize("path", COLLECTIONS)
def test_ada_sees_nothing_of_it_and_a_stranger_is_asked_to_sign_in(
    as_user: Callable[[User], Client], ada: User, one_of_each: dict[str, str], path: str
) -> None:
    for address in (f"/api/v1/{path}", f"/api/v1/{path}/{one_of_each[path]}"):
        assert as_user(ada).get(address).status_code == 403
        assert Client().get(address).status_code == 401


@pytest.mark.parametrize("path", COLLECTIONS)
def test_what_is_not_there_is_not_found(client: Client, path: str) -> None:
    absent = uuid4() if path == "runs" else 99
    answer = client.get(f"/api/v1/{path}/{absent}")
    assert (answer.status_code, answer.json()["code"]) == (404, "not-found")
    assert f"GET {path} lists them" in answer.json()["detail"]


@pytest.mark.parametrize("path", COLLECTIONS)
@pytest.mark.parametrize("scope", [Scope.DATA_READ, Scope.RUNS_WRITE])
def test_a_token_needs_the_scope(rosa: User, path: str, scope: Scope) -> None:
    _, text = make_token(user=rosa, name="other", scopes=[scope])
    headers = {"Authorization": f"Bearer {text}"}
    assert Client().get(f"/api/v1/{path}", headers=headers).status_code == 403
    _, text = make_token(user=rosa, name="reads", scopes=[Scope.MODELS_READ])
    headers = {"Authorization": f"Bearer {text}"}
    assert Client().get(f"/api/v1/{path}", headers=headers).status_code == 200


def make_some(numbers: range, rosa: User) -> None:
    for number in numbers:
        base = make_policy(f"base-{number}")
        make_policy(f"tuned-{number}", parent=base, adapter_on=base)
        make_version(f"model-{number}")
        queued(f"new-{number}", by=rosa)


@pytest.mark.parametrize("path", ["reward-models", "policies", "runs"])
def test_a_longer_list_costs_no_more_queries(client: Client, rosa: User, path: str) -> None:
    make_some(range(1), rosa)
    with CaptureQueriesContext(connection) as few:
        get(client, path)
    make_some(range(1, 6), rosa)
    with CaptureQueriesContext(connection) as many:
        assert len(get(client, path)["results"]) >= 6
    assert len(many) == len(few)


def test_a_filter_that_is_not_on_the_list_is_refused_and_the_list_given(client: Client) -> None:
    answer = client.get("/api/v1/runs", {"created_by__password__startswith": "a"})
    assert answer.status_code == 422
    assert "iteration, kind" in answer.json()["errors"][0]["reason"]


def test_runs_are_found_by_kind_state_and_time(client: Client) -> None:
    run = queued()
    other = Run.objects.create(kind=RunKind.SAMPLE, state=RunState.SUCCEEDED)

    def found(**query: str) -> list[str]:
        return [row["uid"] for row in get(client, "runs", **query)["results"]]

    assert found() == [str(other.uid), str(run.uid)]
    assert found(kind="sample") == [str(other.uid)]
    assert found(state="queued") == [str(run.uid)]
    assert found(since=other.created_at.isoformat()) == [str(other.uid)]
    assert found(iteration="1") == []


def test_a_list_of_runs_leaves_out_what_may_be_long(client: Client) -> None:
    queued()
    (row,) = get(client, "runs")["results"]
    assert row["name"] == "V0"
    assert {"params", "inputs", "result"} & row.keys() == set()


def test_a_run_shows_its_inputs_by_name_its_metrics_and_its_newest_events(
    client: Client, week: Batch
) -> None:
    policy, version = make_policy(), make_version()
    run = Run.objects.create(
        kind=RunKind.REJECTION_SAMPLE,
        params={"samples_per_prompt": 4},
        inputs={"policy": policy.pk, "helpfulness": version.pk, "safety": 99, "prompts": ["a", "b"]},
    )
    held = runs.claim_run(pk=run.pk)
    assert held is not None
    at = "2026-03-01T12:00:00+00:00"
    events = [
        Event(at, "metric", {"name": "tokens_per_second", "value": 10.0, "step": 1}),
        Event(at, "metric", {"name": "tokens_per_second", "value": 12.0, "step": 2}),
        Event(at, "note", {"text": "Half."}),
    ]
    runs.beat_run(run=held, events=events, events_read=9)
    shown = get(client, f"runs/{run.uid}")
    assert shown["inputs"] == {"policy": "V0", "helpfulness": "helpful-1", "safety": None, "prompts": 2}
    assert shown["metrics"] == {"tokens_per_second": {"value": 12.0, "step": 2}}
    assert [event["type"] for event in shown["events"]] == ["state", "note"]
    assert (shown["state"], shown["params"]) == ("running", {"samples_per_prompt": 4})


def test_a_run_is_cancelled_once_it_may_be_retried_and_then_it_waits(
    client: Client, announced: list[int]
) -> None:
    run = queued()
    address = f"/api/v1/runs/{run.uid}"
    assert client.post(f"{address}/cancel").json()["state"] == "cancelled"
    refused = client.post(f"{address}/cancel")
    assert (refused.status_code, refused.json()["code"]) == (409, "illegal-move")
    assert "there is nothing to cancel" in refused.json()["detail"]
    again = client.post(f"{address}/retry")
    assert (again.status_code, again.json()["state"]) == (200, "queued")
    refused = client.post(f"{address}/retry")
    assert refused.status_code == 409
    assert "only a run that ended without success" in refused.json()["detail"]


def test_a_run_that_succeeded_is_neither_cancelled_nor_retried(client: Client) -> None:
    run = Run.objects.create(kind=RunKind.SAMPLE, state=RunState.SUCCEEDED)
    for deed in ("cancel", "retry"):
        assert client.post(f"/api/v1/runs/{run.uid}/{deed}").status_code == 409
    assert client.post(f"/api/v1/runs/{uuid4()}/cancel").status_code == 404


def test_a_token_that_reads_cancels_nothing(rosa: User) -> None:
    run = queued()
    _, text = make_token(user=rosa, name="reads", scopes=[Scope.MODELS_READ])
    answer = Client().post(f"/api/v1/runs/{run.uid}/cancel", headers={"Authorization": f"Bearer {text}"})
    assert answer.status_code == 403
    assert "runs:write" in answer.json()["detail"]
    run.refresh_from_db()
    assert run.state == RunState.QUEUED


def test_a_policy_says_where_it_comes_from_and_nothing_of_its_server(client: Client) -> None:
    base = make_policy("V0")
    secret = "https://answers.example.org"
    make_policy("V1", parent=base, adapter_on=base, endpoint=secret, endpoint_model="/srv/secret")
    answer = client.get("/api/v1/policies")
    tuned, imported = answer.json()["results"]
    assert (tuned["kind"], tuned["weights"], tuned["parent"]) == ("fine_tuned", "adapter", "V0")
    assert (imported["kind"], imported["weights"], imported["parent"]) == ("imported", "whole", None)
    assert (tuned["answers_live"], imported["answers_live"]) == (True, False)
    assert tuned["sampling"] == {"temperatures": [0.7, 1.0], "top_p": 1.0, "max_new_tokens": 128}
    text = answer.content.decode()
    assert not any(word in text for word in ("example.org", "secret", "endpoint", "runs/V0"))
    assert [row["name"] for row in get(client, "policies", kind="imported")["results"]] == ["V0"]


def test_a_reward_model_says_whether_a_scorer_holds_it(client: Client) -> None:
    version = make_version()
    address = f"reward-models/{version.pk}"
    assert get(client, address)["resident"] is False
    beat_scorer(version=version, address="http://127.0.0.1:9", key="k" * 32)
    shown = client.get(f"/api/v1/{address}")
    assert shown.json()["resident"] is True
    assert "k" * 32 not in shown.content.decode()
    dismiss_scorer(address="http://127.0.0.1:9", key="another's")
    assert get(client, address)["resident"] is True
    dismiss_scorer(address="http://127.0.0.1:9", key="k" * 32)
    assert get(client, address)["resident"] is False


def test_reward_models_are_found_by_focus_and_name(client: Client) -> None:
    make_version("h")
    make_version("s", Focus.SAFETY)
    assert [row["name"] for row in get(client, "reward-models", focus="safety")["results"]] == ["s"]
    assert [row["name"] for row in get(client, "reward-models", name="h")["results"]] == ["h"]


def test_an_iteration_names_what_it_has_and_what_comes_next(client: Client, week: Batch) -> None:
    policy = make_policy()
    create_iteration(batch=week, policy=policy, base=policy)
    (shown,) = get(client, "iterations")["results"]
    assert (shown["name"], shown["state"], shown["next"]) == ("V1", "collecting", "Seal the batch")
    assert shown["batch"] == {"number": week.number, "state": "open"}
    assert shown["policy"] == {"id": policy.pk, "name": "V0"}
    assert (shown["snapshot"], shown["tuned"]) == (None, None)
    assert get(client, "iterations", state="sealed")["results"] == []


def test_only_the_fields_that_are_wanted_are_sent(client: Client) -> None:
    queued()
    assert get(client, "runs", fields="state,name")["results"] == [{"state": "queued", "name": "V0"}]
