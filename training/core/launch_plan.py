"""Which command lines a run needs: one process, several by `accelerate launch`, or several machines.

Knows the arguments of training.core.cli, of accelerate and of vLLM's server. Must not start anything, nor know rows or
Django, nor import torch: the launcher and the dry run read it.
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from training.core.spec import RunKind

CLI: Final = "training.core.cli"
ACCELERATE: Final = "accelerate.commands.launch"
# Kinds whose steps are shared out among processes; any other would compute the same in each of them.
SHARED: Final = frozenset({RunKind.TRAIN_REWARD_MODEL, RunKind.FINETUNE})
WORKER: Final = "training.core.shard_worker"
MAIN_PORT: Final = 29_500  # where several machines meet, if their configuration says nothing


@dataclass(frozen=True, slots=True)
class Place:
    """What a run may use.

    Attributes:
        processes: on each machine, one a GPU.
        machines: that compute together.
        sharded: they hold parts of the weights (FSDP).
        accelerate_config: a file of `accelerate config`, which then says all of it; empty: none.
        main_address: of the first of several machines, as the others reach it.
        python: the interpreter on these machines.
    """

    processes: int = 1
    machines: int = 1
    sharded: bool = False
    accelerate_config: str = ""
    main_address: str = ""
    python: str = sys.executable

    @property
    def devices(self) -> int:
        return self.processes * self.machines


def configured(text: str, path: str) -> Place:
    """What the file `path` of `accelerate config`, whose content is `text`, says of processes, machines and FSDP."""

    def number(name: str) -> int:
        found = re.search(rf"^{name}: *(\d+)", text, re.MULTILINE)
        return max(1, int(found[1])) if found else 1

    machines = number("num_machines")
    sharded = re.search(r"^distributed_type: *['\"]?FSDP", text, re.MULTILINE) is not None
    return Place(number("num_processes") // machines or 1, machines, sharded, accelerate_config=path)


def is_shared(kind: RunKind, params: Mapping[str, Any]) -> bool:
    """Whether several processes make such a run faster. A probe has one optimum, and one process finds it."""
    return kind in SHARED and params.get("recipe") != "probe"


def is_alone(kind: RunKind, params: Mapping[str, Any], place: Place) -> bool:
    """Whether one process computes such a run there."""
    return (place.devices == 1 and not place.accelerate_config) or not is_shared(kind, params)


def commands_of(
    kind: RunKind,
    params: Mapping[str, Any],
    place: Place,
    *,
    spec: str = "spec.json",
    out: str = "DIR",
    tied: bool = False,
) -> list[list[str]]:
    """The command of each machine, the leading one's first. `tied`: they end with whoever started them.

    Everything but the leading machine needs the same folder in the same place (shared storage), and the same code.
    """
    arguments = ["--spec", spec, "--out", out, *(["--tied"] if tied else [])]
    if params.get("quantization") == "4bit":  # whose weights cannot be spread
        place = replace(place, sharded=False)
    if is_alone(kind, params, place):
        return [[place.python, "-m", CLI, *arguments]]
    # Those of accelerate's options that it would ask for, or warn about, are all given.
    several = ["-m", CLI, "--several", *arguments]
    return [
        [place.python, "-m", ACCELERATE, *_options(place, rank), *several] for rank in range(place.machines)
    ]


def _options(place: Place, rank: int) -> list[str]:
    if place.accelerate_config:
        return ["--config_file", place.accelerate_config, *(_rank(rank) if place.machines > 1 else [])]
    options = ["--use_fsdp", "--fsdp_version", "2"] if place.sharded else ["--multi_gpu"]
    options += ["--num_processes", str(place.devices), "--num_machines", str(place.machines)]
    # The cores' own autocast chooses the precision; accelerate's is for models that it wraps.
    options += ["--mixed_precision", "no", "--dynamo_backend", "no"]
    if place.machines == 1:
        return [*options, "--main_process_port", "0"]  # any that is free: two runs may share a machine
    address = place.main_address or "FIRST_MACHINE"
    return [
        *options,
        *_rank(rank),
        "--main_process_ip",
        address,
        "--main_process_port",
        str(MAIN_PORT),
    ]


def _rank(rank: int) -> list[str]:
    return ["--machine_rank", str(rank)]


def joining_commands(params: Mapping[str, Any], place: Place, *, out: str = "DIR") -> list[list[str]]:
    """What joins a run of several workers from the machines behind the first, one a GPU; nothing for other runs.

    The run's own process starts the workers of its machine, as its parameter `workers` says.
    """
    if "workers" not in params:
        return []
    own = int(params["workers"])
    numbers = range(own, own + place.processes * (place.machines - 1))
    shared = ["-m", WORKER, "--out", out]
    return [[place.python, *shared, "--index", str(number), "--count", str(own)] for number in numbers]


def serve_commands(
    model: str, *, tensor_parallel: int, replicas: int = 1, first_port: int = 8001
) -> list[list[str]]:
    """`vllm serve` of a policy: each replica holds it on `tensor_parallel` GPUs and listens on a port of its own."""
    return [
        [
            "vllm",
            "serve",
            model,
            "--tensor-parallel-size",
            str(tensor_parallel),
            "--port",
            str(first_port + number),
        ]
        for number in range(replicas)
    ]


def visible_devices(replica: int, size: int) -> str:
    """CUDA_VISIBLE_DEVICES of a replica that holds `size` GPUs of a machine."""
    return ",".join(str(number) for number in range(replica * size, (replica + 1) * size))


def as_line(command: Sequence[str]) -> str:
    """For people to read and copy; the interpreter is called by its plain name."""
    program, *words = command
    plain = "python" if "python" in program.rsplit("/", 1)[-1] else program
    return shlex.join([plain, *words])
