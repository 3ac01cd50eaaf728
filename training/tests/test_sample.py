"""A run that answers requests, whole or killed on the way."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

from rewardmodel.core.backbone import PolicyRef
from rewardmodel.core.report import Reporter, RunFailedError, Silent
from rewardmodel.core.tiny import build_tiny
from training.core import sample
from training.core.events import read_events
from training.core.generate import SILENT, LocalGenerator, Request, Sample
from training.core.server_generator import KEYS
from training.core.spec import RunKind
from training.tests.chat_server import ChatServer, Script
from training.tests.jobs import KilledError, MortalJob, make_job, moments_to_die, write_lines

PARAMS = {"max_new_tokens": 8, "tokens_per_batch": 96}  # some three rows a batch


@pytest.fixture(autouse=True)
def no_collection(monkeypatch: pytest.MonkeyPatch) -> None:
    """Freeing a real model's memory takes longer than all that the tiny one does."""
    monkeypatch.setattr("training.core.generate.release_memory", lambda: None)


@pytest.fixture
def policies(tiny: PolicyRef, tmp_path: Path) -> list[dict[str, Any]]:
    """Two policies with different weights."""
    build_tiny(tmp_path / "newer", seed=1)
    newer = PolicyRef("newer", tmp_path / "newer", None)
    return [tiny.to_json(), newer.to_json()]


@pytest.fixture
def requests(tmp_path: Path) -> Path:
    """Five dialogues, two requests each, one a policy."""
    rows = [
        {
            "dialogue": f"d{number}",
            "messages": [{"role": "user", "content": "Why? " * (5 - number)}],
            "policy": policy,
            "temperature": temperature,
            "seed": 10 * number + side,
        }
        for number in range(5)
        for side, (policy, temperature) in enumerate([("newer", 0.7), ("tiny", 1.0)])
    ]
    return write_lines(tmp_path / "requests.jsonl", rows)


def _job(
    out: Path, policies: list[dict[str, Any]], requests: Path, dies_at: int | None = None, **params: Any
) -> MortalJob:
    inputs = {"policies": policies, "requests": str(requests)}
    return make_job(out, RunKind.SAMPLE, PARAMS | params, inputs, dies_at)


def _responses(job: MortalJob) -> list[dict[str, Any]]:
    """The output without its one field that is measured."""
    rows = [json.loads(line) for line in (job.output / "responses.jsonl").read_text().split("\n") if line]
    for row in rows:
        assert row.pop("latency_ms") >= 0
    return rows


def test_every_request_is_answered_in_order_with_its_provenance(
    tmp_path: Path, policies: list[dict[str, Any]], requests: Path
) -> None:
    job = _job(tmp_path / "run", policies, requests)
    result = sample.run(job)
    rows = _responses(job)
    asked = [json.loads(line) for line in requests.read_text().splitlines()]
    assert [row["seed"] for row in rows] == [line["seed"] for line in asked]
    assert set(rows[0]) == {
        "dialogue", "policy", "temperature", "top_p", "seed", "text", "tokens", "finish_reason",
    }  # fmt: skip
    assert result == {"responses": 10, "mean_tokens": sum(row["tokens"] for row in rows) / 10}


def test_each_request_is_answered_by_the_policy_it_names(
    tmp_path: Path, policies: list[dict[str, Any]], requests: Path
) -> None:
    job = _job(tmp_path / "run", policies, requests)
    sample.run(job)
    swapped = [policies[0] | {"name": "newer"}, policies[1] | {"name": "tiny"}]
    other = _job(tmp_path / "swapped", swapped, requests)
    sample.run(other)
    assert all(
        one["text"] != two["text"] for one, two in zip(_responses(job), _responses(other), strict=True)
    )


def test_a_run_killed_anywhere_ends_like_an_undisturbed_one(
    tmp_path: Path, policies: list[dict[str, Any]], requests: Path
) -> None:
    whole = _job(tmp_path / "whole", policies, requests)
    result = sample.run(whole)
    assert whole.checks > 20
    for dies_at in moments_to_die(whole.checks):
        killed = _job(tmp_path / f"killed-{dies_at}", policies, requests, dies_at)
        with pytest.raises(KilledError):
            sample.run(killed)
        again = _job(tmp_path / f"killed-{dies_at}", policies, requests)
        assert sample.run(again) == result
        assert _responses(again) == _responses(whole)


def test_a_finished_policy_is_not_loaded_again(
    tmp_path: Path, policies: list[dict[str, Any]], requests: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample.run(_job(tmp_path / "run", policies, requests))
    monkeypatch.setattr(LocalGenerator, "_load", lambda self: pytest.fail("a model was loaded"))
    sample.run(_job(tmp_path / "run", policies, requests))


def test_a_policy_leaves_memory_before_the_next_one_is_loaded(
    tmp_path: Path, policies: list[dict[str, Any]], requests: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[LocalGenerator] = []
    load = LocalGenerator._load

    def watched(self: LocalGenerator) -> Any:
        assert all(other._model is None for other in made if other is not self)
        made.append(self)
        return load(self)

    monkeypatch.setattr(LocalGenerator, "_load", watched)
    sample.run(_job(tmp_path / "run", policies, requests))
    assert len({id(generator) for generator in made}) == 2


def test_speed_is_told(tmp_path: Path, policies: list[dict[str, Any]], requests: Path) -> None:
    job = _job(tmp_path / "run", policies, requests)
    sample.run(job)
    events = [event for event in read_events(job.out / "events.jsonl")[0] if event.type == "metric"]
    assert all(event.data["name"] == "tokens_per_second" and event.data["value"] > 0 for event in events)


def test_a_policy_that_was_not_given_is_named(tmp_path: Path, tiny: PolicyRef, requests: Path) -> None:
    with pytest.raises(RunFailedError, match="not given: newer"):
        sample.run(_job(tmp_path / "run", [tiny.to_json()], requests))


def test_a_request_without_a_seed_is_refused(tmp_path: Path, tiny: PolicyRef) -> None:
    path = write_lines(tmp_path / "requests.jsonl", [{"dialogue": "d", "messages": [], "policy": "tiny"}])
    with pytest.raises(RunFailedError, match="request 1 lacks seed, temperature"):
        sample.run(_job(tmp_path / "run", [tiny.to_json()], path))


def test_no_requests_are_refused(tmp_path: Path, tiny: PolicyRef) -> None:
    with pytest.raises(RunFailedError, match="empty"):
        sample.run(_job(tmp_path / "run", [tiny.to_json()], write_lines(tmp_path / "requests.jsonl", [])))


def test_output_of_a_killed_attempt_is_replaced(
    tmp_path: Path, policies: list[dict[str, Any]], requests: Path
) -> None:
    job = _job(tmp_path / "run", policies, requests)
    job.output.mkdir()
    (job.output / "stale.txt").write_text("")
    shutil.copy(requests, job.output / "responses.jsonl")
    sample.run(job)
    assert [path.name for path in job.output.iterdir()] == ["responses.jsonl"]


def test_servers_answer_for_their_policies(
    tmp_path: Path, policies: list[dict[str, Any]], requests: Path
) -> None:
    with ChatServer({"": Script("By another."), "newer-chat": Script("By the newer.")}) as server:
        policies[0]["endpoint"] = policies[1]["endpoint"] = server.address
        policies[1]["endpoint_model"] = "newer-chat"
        job = _job(tmp_path / "run", policies, requests, backend="server", at_once=3)
        (job.out / KEYS).write_text(json.dumps({"127.0.0.1": "rosas-key"}))
        (job.out / KEYS).chmod(0o600)
        sample.run(job)
        assert {(row["policy"], row["text"]) for row in _responses(job)} == {
            ("tiny", "By another."),
            ("newer", "By the newer."),
        }
        assert set(server.keys) == {"Bearer rosas-key"}
        asked = len(server.requests)
        sample.run(_job(tmp_path / "run", policies, requests, backend="server", at_once=3))
        assert len(server.requests) == asked == 10  # nobody is asked twice


def test_backend_server_without_an_address_says_what_to_do(
    tmp_path: Path, policies: list[dict[str, Any]], requests: Path
) -> None:
    with pytest.raises(RunFailedError, match=r"newer has no response server.*choose backend local"):
        sample.run(_job(tmp_path / "run", policies, requests, backend="server"))


def test_backend_vllm_without_the_package_says_what_to_do(
    tmp_path: Path, policies: list[dict[str, Any]], requests: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(RunFailedError, match="wants the package vllm"):
        sample.run(_job(tmp_path / "run", policies, requests, backend="vllm"))


def test_progress_within_a_chunk_is_the_whole_works(tmp_path: Path) -> None:
    class Parrot:
        """Answers three chunks, one request after the other."""

        def plan(self, requests: Sequence[Request]) -> list[list[int]]:
            return [[4, 2], [0], [1, 3]]

        def generate(self, requests: Sequence[Request], reporter: Reporter = SILENT) -> list[Sample]:
            for done in range(len(requests)):
                reporter.progress(done + 1, len(requests), "responses")
            return [Sample("So.", 3, "stop", 0.1) for _ in requests]

        def close(self) -> None:
            pass

    class Listening(Silent):
        told: ClassVar[list[tuple[int, int]]] = []

        def progress(self, done: int, total: int, unit: str) -> None:
            self.told.append((done, total))

    requests = [Request(({"role": "user", "content": "Why?"},), 1.0, 1.0, n, 4) for n in range(5)]
    sample.draw(requests, Parrot(), tmp_path, Listening())
    assert sorted(set(Listening.told)) == [(n, 5) for n in range(1, 6)]
    assert Listening.told == sorted(Listening.told)
