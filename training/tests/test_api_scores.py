"""Rewards of responses through the API: from a scorer that is there, or by a run, and never a broken answer."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from annotation.core.grades import Focus
from annotation.core.scopes import Scope
from annotation.models import User
from annotation.services.idempotency import KeyReusedError
from annotation.services.tokens import make_token
from rewardmodel.core.backbone import PolicyRef
from rewardmodel.core.rows import Row
from rewardmodel.core.scorer import load
from rewardmodel.core.serve import Server
from rewardmodel.core.serve_desk import Desk
from rewardmodel.models import ResidentScorer, RewardModelVersion
from rewardmodel.services import beat_scorer
from rewardmodel.tests.scores import make_version
from tests.factories import make_policy
from tests.house import free_port
from training.api.scores import LONGEST_TEXT, MOST_ITEMS, MOST_RESPONSES
from training.core import score_items
from training.core.events import EventWriter
from training.core.job import Job
from training.core.spec import RunFile, RunKind
from training.core.states import RunState
from training.models import Run, ScoreItems
from training.services import kinds, runs

pytestmark = pytest.mark.django_db

KEY = "k" * 32
ASKED = [{"role": "user", "content": "What is a prime number?"}]
JSON = "application/json"


@pytest.fixture
def client(as_user: Callable[[User], Client], rosa: User) -> Client:
    """Rosa's browser."""
    return as_user(rosa)


@pytest.fixture
def version(db: None) -> RewardModelVersion:
    return make_version()


class Lengths:
    """A model whose reward is the length."""

    fault: Exception | None = None

    def encode(self, group: Any) -> list[Row]:
        if self.fault is not None:
            raise self.fault
        return [Row(tuple(range(len(text))), 0) for text in group[1]]

    def rewards(self, groups: Any) -> list[list[float]]:
        return [[float(len(row.tokens)) for row in group] for group in groups]


@pytest.fixture
def scorer(version: RewardModelVersion) -> Iterator[Lengths]:
    """A resident scorer that the house knows of."""
    lengths = Lengths()
    desk = Desk(lengths)
    server = Server(("127.0.0.1", 0), name=version.name, key=KEY, desk=desk)
    threads = [threading.Thread(target=target) for target in (desk.run, server.serve_forever)]
    for thread in threads:
        thread.start()
    beat_scorer(version=version, address=f"http://127.0.0.1:{server.server_address[1]}", key=KEY)
    yield lengths
    desk.close()
    server.shutdown()
    server.server_close()
    for thread in threads:
        thread.join(10)


def body(*responses: str) -> dict[str, Any]:
    return {"items": [{"messages": ASKED, "responses": list(responses or ("A number.",))}]}


def score(client: Client, version: RewardModelVersion, sent: Any, via: str = "", **headers: str) -> Any:
    address = f"/api/v1/reward-models/{version.pk}/score" + (f"?via={via}" if via else "")
    return client.post(address, sent, content_type=JSON, headers=headers)


def refused(client: Client, version: RewardModelVersion, sent: Any) -> dict[str, Any]:
    answer = score(client, version, sent)
    assert answer.status_code == 422, answer.content
    problem: dict[str, Any] = answer.json()
    assert not Run.objects.exists()
    return problem


def test_a_scorer_answers_at_once_in_the_order_asked(
    client: Client,
    version: RewardModelVersion,
    scorer: Lengths,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    sent = {"items": [*body("ccc", "a")["items"], *body("bb")["items"]]}
    score(client, version, sent)  # what a session looks up once
    with django_assert_num_queries(4):  # session, person, reward model, scorers
        answer = score(client, version, sent)
    assert answer.status_code == 200
    assert answer.json() == {
        "reward_model": "helpful-1",
        "via": "resident",
        "rewards": [[3.0, 1.0], [2.0]],
        "run": None,
    }
    assert not Run.objects.exists()


def test_without_a_scorer_a_run_is_queued(client: Client, rosa: User, version: RewardModelVersion) -> None:
    answer = score(client, version, body("a", "bb"))
    run = Run.objects.get()
    assert answer.status_code == 202
    assert answer["Location"] == f"/api/v1/runs/{run.uid}"
    assert answer.json() == {
        "reward_model": "helpful-1",
        "via": "run",
        "rewards": None,
        "run": str(run.uid),
    }
    assert (run.kind, run.state, run.created_by) == (RunKind.SCORE, RunState.QUEUED, rosa)
    assert ScoreItems.objects.get(run=run).data == body("a", "bb")["items"]
    shown = client.get(answer["Location"]).json()
    assert shown["inputs"] == {"reward_model": "helpful-1", "items": 1}


def test_via_says_which_way(client: Client, version: RewardModelVersion, scorer: Lengths) -> None:
    assert [score(client, version, body(), via).status_code for via in ("auto", "resident", "run")] == [
        200,
        200,
        202,
    ]
    assert score(client, version, body(), "pigeon").status_code == 422
    ResidentScorer.objects.all().delete()
    answer = score(client, version, body(), "resident")
    assert (answer.status_code, answer.json()["code"]) == (503, "scorer-unavailable")
    assert "manage.py scorer --reward-model helpful-1" in answer.json()["detail"]
    assert answer["Retry-After"] == "5"


def test_a_scorer_that_fell_silent_is_not_asked(
    client: Client, version: RewardModelVersion, scorer: Lengths
) -> None:
    ResidentScorer.objects.update(seen_at=timezone.now() - timedelta(seconds=9))
    assert score(client, version, body()).status_code == 202


def test_a_scorer_of_another_model_is_not_asked(client: Client, scorer: Lengths) -> None:
    assert score(client, make_version("other"), body()).status_code == 202


def test_a_scorer_that_is_gone_is_found_out_and_a_run_does_the_work(
    client: Client, version: RewardModelVersion
) -> None:
    beat_scorer(version=version, address=f"http://127.0.0.1:{free_port()}", key=KEY)
    answer = score(client, version, body(), "resident")
    assert answer.status_code == 503
    assert "gave no answer" in answer.json()["detail"]
    assert score(client, version, body()).status_code == 202


def test_where_one_scorer_is_gone_another_is_asked(
    client: Client, version: RewardModelVersion, scorer: Lengths
) -> None:
    beat_scorer(version=version, address=f"http://127.0.0.1:{free_port()}", key=KEY)
    assert score(client, version, body()).status_code == 200


@pytest.mark.parametrize(
    "said", ['{"rewards": [[1.0]]}', '{"rewards": "many"}', "[]", "<html>", '{"rewards": [[1.0, null]]}']
)
def test_an_answer_that_does_not_fit_is_no_answer(
    client: Client, version: RewardModelVersion, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    """Somebody else has the port now."""
    import httpx  # noqa: PLC0415  patched below

    beat_scorer(version=version, address="http://127.0.0.1:9", key=KEY)
    monkeypatch.setattr(httpx, "post", lambda *_, **__: httpx.Response(200, text=said))
    assert score(client, version, body("a", "b"), "resident").status_code == 503


def test_a_scorer_that_takes_too_long_leaves_the_work_to_a_run(
    client: Client, version: RewardModelVersion, settings: Settings
) -> None:
    settings.SCORER_SECONDS = 0.2
    server = Server(("127.0.0.1", 0), name="slow", key=KEY, desk=Desk(Lengths()))  # nobody runs the desk
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    beat_scorer(version=version, address=f"http://127.0.0.1:{server.server_address[1]}", key=KEY)
    assert score(client, version, body()).status_code == 202
    server.shutdown()
    server.server_close()
    thread.join(10)


def test_texts_that_the_model_cannot_read_are_refused_with_the_place(
    client: Client, version: RewardModelVersion, scorer: Lengths
) -> None:
    scorer.fault = ValueError("roles must alternate")
    problem = refused(client, version, body())
    assert problem["code"] == "unratable"
    assert "items[0]: the model's chat template does not take this dialogue: roles must" in problem["detail"]


def test_a_scorer_whose_model_broke_leaves_the_work_to_a_run(
    client: Client, version: RewardModelVersion, scorer: Lengths
) -> None:
    scorer.fault = MemoryError("short of memory")
    assert score(client, version, body()).status_code == 202


@pytest.mark.parametrize(
    "messages",
    [
        [],
        [{"role": "assistant", "content": "Hello."}],
        [*ASKED, *ASKED],
        [*ASKED, {"role": "assistant", "content": "Why?"}],
        [*ASKED, {"role": "system", "content": "Be kind."}, *ASKED],
        [{"role": "root", "content": "Hello."}],
        [{"role": "user", "content": 3}],
        [{"role": "user", "content": "Hello.", "name": "ada"}],
    ],
)
def test_a_dialogue_that_waits_for_no_answer_is_refused(
    client: Client, version: RewardModelVersion, messages: Any
) -> None:
    problem = refused(client, version, {"items": [{"messages": messages, "responses": ["a"]}]})
    assert problem["errors"][0]["field"].startswith("items")


def test_a_system_message_and_earlier_turns_are_taken(
    client: Client, version: RewardModelVersion, scorer: Lengths
) -> None:
    messages = [
        {"role": "system", "content": "Be kind."},
        *ASKED,
        {"role": "assistant", "content": "2."},
        *ASKED,
    ]
    assert score(client, version, {"items": [{"messages": messages, "responses": [""]}]}).status_code == 200


def test_the_limits_are_kept_to(client: Client, version: RewardModelVersion, scorer: Lengths) -> None:
    most = {"items": body(*["a"] * 128)["items"] * 2}
    assert score(client, version, most).status_code == 200
    problem = refused(client, version, {"items": body(*["a"] * 129)["items"] * 2})
    assert f"258 responses in all; send at most {MOST_RESPONSES}" in problem["errors"][0]["reason"]
    problem = refused(client, version, body("a", "a" * (LONGEST_TEXT + 1)))
    assert [error["field"] for error in problem["errors"]] == ["items.0.responses.1"]
    refused(client, version, {"items": body("a")["items"] * (MOST_ITEMS + 1)})
    refused(client, version, {"items": []})
    refused(client, version, {"items": [{"messages": ASKED, "responses": []}]})
    assert score(client, version, {"more": "a" * (2 << 20)}).status_code == 413


def test_a_run_is_started_once_for_one_key_and_another_body_under_it_is_refused(
    client: Client, version: RewardModelVersion, scorer: Lengths
) -> None:
    key = {"Idempotency-Key": "mine"}
    first, second = (score(client, version, body("a"), "run", **key) for _ in range(2))
    assert first.json() == second.json()
    assert (first.get("Idempotency-Replayed"), second.get("Idempotency-Replayed")) == (None, "true")
    again = score(client, version, body("a"), **key)  # a scorer is there, but the request has its run
    assert again.json() == first.json()
    other = score(client, version, body("b"), "run", **key)
    assert (other.status_code, other.json()["code"]) == (KeyReusedError.status, KeyReusedError.code)
    assert Run.objects.count() == 1
    assert score(client, version, body("a"), "run", **{"Idempotency-Key": "é"}).status_code == 422


def test_no_transaction_is_open_while_a_scorer_is_asked(
    client: Client, version: RewardModelVersion, scorer: Lengths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key opens one for every other POST."""
    from django.db import transaction  # noqa: PLC0415  patched below

    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("a transaction was opened")

    monkeypatch.setattr(transaction, "atomic", refuse)
    answer = score(client, version, body("a"), **{"Idempotency-Key": "mine"})
    assert answer.status_code == 200


def test_scoring_needs_its_role_and_its_scope(
    as_user: Callable[[User], Client], ada: User, rosa: User, version: RewardModelVersion
) -> None:
    assert score(as_user(ada), version, body()).status_code == 403
    assert score(Client(), version, body()).status_code == 401
    for scope, status in ((Scope.MODELS_READ, 403), (Scope.MODELS_SCORE, 202)):
        _, text = make_token(user=rosa, name="t", scopes=[scope])
        answer = score(Client(), version, body(), Authorization=f"Bearer {text}")
        assert answer.status_code == status


def test_a_reward_model_that_is_not_there_scores_nothing(client: Client) -> None:
    answer = client.post("/api/v1/reward-models/99/score", body(), content_type=JSON)
    assert (answer.status_code, answer.json()["code"]) == (404, "not-found")


def test_a_run_gives_the_rewards_of_the_model_as_its_result(
    client: Client,
    version: RewardModelVersion,
    tiny: PolicyRef,
    reward_models: dict[Focus, Path],
) -> None:
    folder = reward_models[Focus.HELPFULNESS]
    make_policy("tiny", path=str(tiny.path))
    RewardModelVersion.objects.update(path=str(folder), backbone="tiny")
    sent = {"items": [*body("A number.", "No.")["items"], *body("A number\u2028with two divisors.")["items"]]}
    score(client, version, sent)
    run = runs.claim_run(pk=Run.objects.get().pk)
    assert run is not None
    file = RunFile.model_validate_json(kinds.write_spec(run).read_bytes())
    with EventWriter(run.folder / "events.jsonl") as events:
        job = Job(file, run.folder, events)
        job.finish(score_items.run(job))
    outcome = kinds.collect(run)
    runs.end_run(
        run=run,
        state=RunState.SUCCEEDED,
        result=outcome.result,
        register=lambda: kinds.register(run, outcome),
    )
    shown = client.get(f"/api/v1/runs/{run.uid}").json()
    assert shown["result"]["reward_model"] == "helpful-1"
    reference = {"name": "h", "path": str(folder), "backbone": tiny.to_json()}
    wanted = load(reference, device="cpu", tokens_per_batch=4096).score(
        [(item["messages"], item["responses"]) for item in sent["items"]]
    )
    assert [len(group) for group in shown["result"]["rewards"]] == [2, 1]
    for given, own in zip(shown["result"]["rewards"], wanted, strict=True):
        assert given == pytest.approx(own, abs=1e-5)
    assert json.loads((run.folder / "result.json").read_text()) == shown["result"]
