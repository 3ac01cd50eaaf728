"""Which queue a run waits in, which of them a worker takes, and that a broker hears of the right one."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import Settings

from rewardmodel.core.tiny import build_tiny
from tests.factories import make_policy
from training import dispatch, worker
from training.core.estimate import Estimate
from training.core.queue_names import CPU, GPU, LARGE, QUEUES, all_queues, runs_among
from training.core.queues import queue_of
from training.core.sizes import GPUS, Machine
from training.core.spec import RunKind
from training.launchers.children import run_worker
from training.models import Run, WorkerBeat
from training.services import runs

H100 = GPUS["h100"]
SMALL, HUGE = (Estimate(1.0, memory, 1, "") for memory in (1, 10**15))


@pytest.mark.parametrize("kind", sorted(set(RunKind) - {RunKind.IMPORT_POLICY}))
def test_what_computes_with_a_model_waits_for_a_gpu(kind: RunKind) -> None:
    assert queue_of(kind, {}, SMALL, H100, {}) == GPU
    assert queue_of(kind, {}, None, H100, {}) == GPU


def test_an_import_computes_nothing() -> None:
    assert queue_of(RunKind.IMPORT_POLICY, {}, HUGE, H100, {}) == CPU


def test_what_does_not_fit_the_ordinary_gpu_waits_for_larger_workers() -> None:
    assert queue_of(RunKind.FINETUNE, {}, HUGE, H100, {}) == LARGE


def test_sampling_by_a_server_wants_no_gpu_here_but_scoring_its_answers_does() -> None:
    server = {"backend": "server"}
    assert queue_of(RunKind.SAMPLE, server, SMALL, H100, {}) == CPU
    assert queue_of(RunKind.REJECTION_SAMPLE, server, SMALL, H100, {}) == GPU


def test_the_house_may_name_a_queue_by_kind() -> None:
    own = {"score": "runs.gpu.small"}
    assert queue_of(RunKind.SCORE, {}, HUGE, H100, own) == "runs.gpu.small"
    assert all_queues(own) == (*QUEUES, "runs.gpu.small")
    assert all_queues({"score": LARGE}) == QUEUES


def test_only_queues_of_runs_make_a_worker_of_runs() -> None:
    assert runs_among(["default", GPU, CPU]) == (CPU, GPU)
    assert runs_among(["default"]) == ()


def test_the_embedded_worker_takes_every_queue(settings: Settings) -> None:
    command = run_worker().command
    assert command[list(command).index("--queues") + 1] == ",".join(settings.RUN_QUEUES)
    assert not [word for word in command if word.startswith("CUDA_")]


def test_a_worker_of_a_device_sees_that_device_alone() -> None:
    child = run_worker("gpu3", queues=[GPU], devices="3")
    assert "CUDA_VISIBLE_DEVICES=3" in child.command
    assert child.command[list(child.command).index("--queues") + 1] == GPU
    assert child.log.name == "gpu3.log"


def test_a_workers_entry_tells_its_queues() -> None:
    name = worker.beat_name("gpu-worker@host", [CPU, GPU])
    assert worker.queues_of(name) == (CPU, GPU)
    assert worker.queues_of("gpu-worker@host") == ()


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, str]]:
    """What the broker is told: run and queue."""
    told: list[tuple[int, str]] = []

    def send(name: str, *, args: list[int], queue: str, **options: Any) -> None:
        told.append((args[0], queue))

    monkeypatch.setattr("training.dispatch.current_app.send_task", send)
    return told


def fine_tuning(home: Path, **params: Any) -> Run:
    build_tiny(home / "runs/V0")
    policy = make_policy("V0")
    inputs = {"name": "V1", "base": policy.pk, "selections": [], "examples": 10}
    return runs.queue_run(kind=RunKind.FINETUNE, params=params, inputs=inputs)


@pytest.mark.django_db
def test_a_run_is_announced_to_the_queue_of_its_size(
    home: Path, settings: Settings, sent: list[tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = fine_tuning(home)
    dispatch.announce(run.pk)
    monkeypatch.setattr("training.services.estimates.machine_called", lambda name: SMALLEST)
    dispatch.announce(run.pk)
    assert sent == [(run.pk, GPU), (run.pk, LARGE)]


SMALLEST = Machine("toy", memory_bytes=1000, trained=1, read=1, fetched=1)


@pytest.mark.django_db
def test_a_run_whose_model_is_away_goes_where_most_belong(sent: list[tuple[int, str]]) -> None:
    policy = make_policy("V0", path="runs/gone")
    inputs = {"name": "V1", "base": policy.pk, "selections": []}
    run = runs.queue_run(kind=RunKind.FINETUNE, params={}, inputs=inputs)
    dispatch.announce(run.pk)
    dispatch.announce(run.pk + 1)  # which nobody knows
    assert sent == [(run.pk, GPU), (run.pk + 1, GPU)]


@pytest.mark.django_db
def test_the_sweeper_announces_a_forgotten_run_to_its_own_queue(
    sent: list[tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "announce", dispatch.announce)
    run = runs.queue_run(kind=RunKind.IMPORT_POLICY, params={"source": "tiny"}, inputs={"name": "V0"})
    Run.objects.filter(pk=run.pk).update(announced_at=timezone.now() - timedelta(hours=1))
    runs.sweep_runs()
    assert sent == [(run.pk, CPU)]


@pytest.mark.django_db
def test_a_broker_that_is_away_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise ConnectionError("no broker")

    monkeypatch.setattr("training.dispatch.current_app.send_task", refuse)
    dispatch.announce(1)


@pytest.mark.django_db
def test_the_longest_entry_of_a_worker_can_be_stored() -> None:
    name = worker.beat_name("w" * 150, [f"runs.{number}" for number in range(40)])
    WorkerBeat.objects.create(name=name, seen_at=timezone.now())
    assert len(name) == 200
