"""`manage.py plan_run` and `manage.py workers`: what would be launched, and where."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from pytest_django import Settings

from rewardmodel.core.tiny import build_tiny
from tests.factories import make_policy
from training.core.dry_run import PLACES, amounts, parallel_of, table
from training.core.queue_names import GPU, LARGE
from training.core.sizes import GPUS, llama
from training.management.commands.workers import workers_of
from training.models import Run


def plan(*words: str) -> str:
    out = StringIO()
    call_command("plan_run", *words, stdout=out)
    return out.getvalue()


def plan_json(*words: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(plan(*words, "--json"))
    return read


def test_a_run_that_does_not_fit_is_told_what_would() -> None:
    said = plan("train_reward_model", "--params", "recipe=full", "--device", "rtx4090")
    assert "Queue:   runs.gpu.large" in said
    assert "Command: python -m training.core.cli --spec spec.json --out DIR" in said
    assert "Warning: It does not fit" in said
    assert "Warning: With recipe lora, quantization 4bit it does" in said


def test_several_machines_get_a_command_each_and_spread_what_one_cannot_hold() -> None:
    found = plan_json(
        "train_reward_model", "--params", "recipe=full", "--device", "h100", "--gpus", "8", "--nodes", "2"
    )
    assert [line.count("--use_fsdp") for line in found["commands"]] == [1, 1]
    assert ["--machine_rank 0" in line for line in found["commands"]] == [True, False]
    assert found["queue"] == LARGE
    assert found["warnings"] == []


def test_what_fits_each_gpu_is_not_spread() -> None:
    found = plan_json("train_reward_model", "--params", "recipe=lora", "--device", "h100", "--gpus", "8")
    assert "--multi_gpu" in found["commands"][0]
    assert found["queue"] == GPU


def test_sampling_is_shown_the_servers_that_could_draw() -> None:
    found = plan_json("rejection_sample", "--model", "70b", "--device", "h100", "--gpus", "8")
    # 138 GB of weights over 2 leave too little room for the cache, over 4 enough.
    assert [line.split(" vllm")[0] for line in found["servers"]] == [
        "CUDA_VISIBLE_DEVICES=0,1,2,3",
        "CUDA_VISIBLE_DEVICES=4,5,6,7",
    ]
    assert (
        "The run uses 1 of the GPUs of a machine; 7 stay idle. With workers 8 none does." in found["warnings"]
    )


def test_workers_of_other_machines_join_a_run_that_is_shared_by_workers() -> None:
    words = ("--device", "h100", "--gpus", "2", "--nodes", "2")
    found = plan_json("rejection_sample", "--params", "workers=2", *words)
    assert found["commands"] == [
        "python -m training.core.cli --spec spec.json --out DIR",
        "python -m training.core.shard_worker --out DIR --index 2 --count 2",
        "python -m training.core.shard_worker --out DIR --index 3 --count 2",
    ]
    assert found["warnings"] == []


def test_parameters_come_from_files_and_words_and_the_later_wins(tmp_path: Path) -> None:
    file = tmp_path / "params.json"
    file.write_text('{"recipe": "full", "epochs": 1}')
    one = plan_json("train_reward_model", "--params", str(file), "--device", "h200")
    three = plan_json("train_reward_model", "--params", str(file), "epochs=3", "--device", "h200")
    assert three["estimate"]["seconds"] == pytest.approx(3 * one["estimate"]["seconds"])


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ((), "Name a kind of run"),
        (("finetune", "--params", "epochs=0"), "epochs: Input should be greater than or equal to 1"),
        (("finetune", "--params", "epoch=1"), "epoch: Extra inputs are not permitted"),
        (("finetune", "--params", "nothing.json"), "neither K=V nor a JSON file"),
        (("finetune", "--gpus", "0"), "at least 1"),
        (("finetune", "--model", "34b"), "LLAMA-2 has no 34b"),
        (("--table", "--device", "cpu"), "The table is for GPUs"),
    ],
)
def test_what_cannot_be_planned_is_said_with_the_reason(words: tuple[str, ...], complaint: str) -> None:
    with pytest.raises(CommandError, match=complaint):
        plan(*words)


@pytest.mark.django_db
def test_a_model_that_nobody_knows_is_refused_by_name() -> None:
    with pytest.raises(CommandError, match="'V9' is neither"):
        plan("finetune", "--model", "V9")


@pytest.mark.django_db
def test_a_policy_of_the_house_is_sized_by_its_folder_and_nothing_is_started(home: Path) -> None:
    build_tiny(home / "runs/V0")
    make_policy("V0")
    by_name = plan_json("finetune", "--model", "V0", "--device", "h100")
    by_folder = plan_json("finetune", "--model", str(home / "runs/V0"), "--device", "h100")
    assert by_name["estimate"]["seconds"] == by_folder["estimate"]["seconds"]
    assert by_name["estimate"]["memory_bytes"] < 10**9
    assert not Run.objects.exists()


def test_by_default_the_settings_say_what_there_is(settings: Settings, tmp_path: Path) -> None:
    settings.MARGIN_GPU = "a100"
    settings.MARGIN_ACCELERATE_CONFIG = str(tmp_path / "fsdp.yaml")
    (tmp_path / "fsdp.yaml").write_text("distributed_type: FSDP\nnum_processes: 4\n")
    found = plan_json("train_reward_model", "--params", "recipe=full")
    assert f"--config_file {tmp_path}/fsdp.yaml" in found["commands"][0]
    assert found["warnings"] == []  # 16 bytes for 6.7e9 parameters over four of 80 GiB
    settings.MARGIN_ACCELERATE_CONFIG = str(tmp_path / "gone.yaml")
    with pytest.raises(CommandError, match="MARGIN_ACCELERATE_CONFIG cannot be read"):
        plan("train_reward_model")


def test_the_table_has_a_row_for_each_size_and_work() -> None:
    lines = table("h100").splitlines()
    assert len(lines) == 2 + 3 * 7
    assert {line.count("|") for line in lines} == {3 + len(PLACES)}
    assert plan("--table", "--device", "h100").startswith(table("h100"))


def test_a_copy_of_a_model_takes_as_many_gpus_as_leave_room_for_its_cache() -> None:
    # Of 80 GiB 0.6 are for weights: 48 GiB. 7b wants 12.6, 13b 24.2, 70b 128.5.
    assert [parallel_of(llama(b), GPUS["h100"]) for b in (7, 13, 70)] == [1, 1, 4]
    assert parallel_of(llama(70), GPUS["l4"]) == 8


def test_each_device_gets_a_worker_that_sees_it_alone() -> None:
    workers = workers_of(["0", "2,3", "none"], [LARGE])
    assert [worker.name for worker in workers] == ["gpu-worker-0", "gpu-worker-2-3", "cpu-worker-2"]
    seen = [word for worker in workers for word in worker.command if word.startswith("CUDA_")]
    assert seen == ["CUDA_VISIBLE_DEVICES=0", "CUDA_VISIBLE_DEVICES=2,3", "CUDA_VISIBLE_DEVICES="]
    assert {list(worker.command)[list(worker.command).index("--queues") + 1] for worker in workers} == {LARGE}


@pytest.mark.parametrize(
    ("devices", "queues", "complaint"),
    [
        (["gpu0"], [], "'gpu0' is no GPU's number"),
        (["0", "0,1"], [], "named twice"),
        (["0"], ["default"], "'default' is no queue of runs"),
    ],
)
def test_devices_and_queues_that_cannot_be_are_refused(
    devices: list[str], queues: list[str], complaint: str
) -> None:
    with pytest.raises(CommandError, match=complaint):
        workers_of(devices, queues)


def test_the_manual_shows_what_the_commands_print() -> None:
    manual = (Path(__file__).parents[2] / "docs/scaling.md").read_text()
    assert table("h100") in manual
    assert " ".join(amounts().split()) in " ".join(manual.split())
    assert plan("train_reward_model", "--params", "recipe=full", "--device", "rtx4090").strip() in manual
