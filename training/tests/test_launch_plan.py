"""Command lines: one process, several, several machines, and servers that draw."""

from __future__ import annotations

import pytest
from accelerate.commands.launch import launch_command_parser

from training.core.launch_plan import (
    Place,
    as_line,
    commands_of,
    configured,
    is_alone,
    serve_commands,
    visible_devices,
)
from training.core.spec import RunKind

TRAIN = RunKind.TRAIN_REWARD_MODEL
LORA = {"recipe": "lora"}
ALONE = [["py", "-m", "training.core.cli", "--spec", "s", "--out", "o", "--tied"]]
CONFIG = """compute_environment: LOCAL_MACHINE
distributed_type: FSDP
fsdp_config:
  fsdp_version: 2
num_machines: 2
num_processes: 16
"""


def commands(kind: RunKind, place: Place, **params: str) -> list[list[str]]:
    return commands_of(kind, params or LORA, place, spec="s", out="o", tied=True)


def test_by_default_a_run_is_one_process() -> None:
    assert commands(TRAIN, Place(python="py")) == ALONE


@pytest.mark.parametrize("kind", sorted(set(RunKind) - {TRAIN, RunKind.FINETUNE}))
def test_a_kind_that_is_not_shared_out_is_one_process_wherever_it_runs(kind: RunKind) -> None:
    place = Place(8, 2, accelerate_config="a.yaml", python="py")
    assert commands(kind, place) == ALONE
    assert is_alone(kind, LORA, place)


def test_fine_tuning_is_shared_out_too() -> None:
    assert not is_alone(RunKind.FINETUNE, LORA, Place(2))


def test_a_probe_is_one_process_wherever_it_runs() -> None:
    assert commands(TRAIN, Place(8, python="py"), recipe="probe") == ALONE


def test_several_gpus_are_launched_by_accelerate_and_share_the_run() -> None:
    (line,) = commands(TRAIN, Place(4, python="py"))
    assert line[:3] == ["py", "-m", "accelerate.commands.launch"]
    options = launch_command_parser().parse_args(line[3:])
    assert (options.multi_gpu, options.use_fsdp) == (True, False)
    assert (options.num_processes, options.num_machines, options.main_process_port) == (4, 1, 0)
    assert (options.module, options.training_script) == (True, "training.core.cli")
    assert options.training_script_args == ["--several", "--spec", "s", "--out", "o", "--tied"]


def test_weights_are_spread_where_that_is_asked_for() -> None:
    (line,) = commands(TRAIN, Place(4, sharded=True, python="py"))
    options = launch_command_parser().parse_args(line[3:])
    assert (options.multi_gpu, options.use_fsdp, str(options.fsdp_version)) == (False, True, "2")


def test_four_bit_weights_are_never_spread() -> None:
    (line,) = commands(TRAIN, Place(4, sharded=True, python="py"), recipe="lora", quantization="4bit")
    assert "--use_fsdp" not in line
    assert "--multi_gpu" in line


def test_each_machine_has_its_own_rank_and_all_meet_at_the_first() -> None:
    lines = commands(TRAIN, Place(8, 2, main_address="10.0.0.1", python="py"))
    read = [launch_command_parser().parse_args(line[3:]) for line in lines]
    assert [options.machine_rank for options in read] == [0, 1]
    assert {(o.num_processes, o.num_machines, o.main_process_ip, o.main_process_port) for o in read} == {
        (16, 2, "10.0.0.1", 29_500)
    }


def test_a_configuration_of_accelerate_says_all_but_the_rank() -> None:
    lines = commands(TRAIN, Place(8, 2, accelerate_config="a.yaml", python="py"))
    assert [line[3:7] for line in lines] == [
        ["--config_file", "a.yaml", "--machine_rank", "0"],
        ["--config_file", "a.yaml", "--machine_rank", "1"],
    ]
    (line,) = commands(TRAIN, Place(accelerate_config="a.yaml", python="py"))
    assert line[3:7] == ["--config_file", "a.yaml", "-m", "training.core.cli"]


def test_a_configuration_is_read_for_what_an_estimate_needs() -> None:
    found = configured(CONFIG, "a.yaml")
    assert (found.processes, found.machines, found.sharded, found.devices) == (8, 2, True, 16)
    assert found.accelerate_config == "a.yaml"
    plain = configured("distributed_type: MULTI_GPU\nnum_processes: 4\n", "b.yaml")
    assert (plain.processes, plain.machines, plain.sharded) == (4, 1, False)
    assert configured("", "c.yaml").devices == 1


def test_replicas_of_a_server_listen_apart_and_see_gpus_of_their_own() -> None:
    lines = serve_commands("V1", tensor_parallel=2, replicas=2)
    assert [line[-1] for line in lines] == ["8001", "8002"]
    assert lines[0][:5] == ["vllm", "serve", "V1", "--tensor-parallel-size", "2"]
    assert [visible_devices(number, 2) for number in range(2)] == ["0,1", "2,3"]


def test_a_line_can_be_copied_by_people() -> None:
    assert as_line(["/x/bin/python3.11", "-m", "a", "/my folder"]) == "python -m a '/my folder'"
