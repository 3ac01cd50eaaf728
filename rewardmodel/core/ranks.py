"""The processes that train one model together: which of them this is, and what they have to agree on.

Knows accelerate's state and sums over processes. Must not know models, losses or files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import torch
from accelerate import Accelerator, PartialState
from accelerate.utils import DistributedType
from torch import Tensor, distributed

from rewardmodel.core.report import Reporter, RunCancelledError


@dataclass(frozen=True, slots=True)
class Ranks:
    """This process among those that were launched together; alone by default.

    Attributes:
        index: from 0; the first one leads: it alone reports and writes.
        count: how many there are.
        sharded: the launcher's settings ask for parameters that are spread over the processes (FSDP).
    """

    index: int = 0
    count: int = 1
    sharded: bool = False

    @property
    def leads(self) -> bool:
        return self.index == 0

    def share(self, items: int) -> range:
        """Numbers of the items that are this process's: every item belongs to exactly one."""
        return range(self.index, items, self.count)

    def add_up(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor, in place, by its sum over the processes; all call it with the same shapes."""
        if self.count > 1:
            for tensor in tensors:
                distributed.all_reduce(tensor)

    def total(self, value: float) -> float:
        """The sum of every process's value."""
        if self.count == 1:
            return value
        place = "cuda" if distributed.get_backend() == "nccl" else "cpu"
        tensor = torch.tensor([value], dtype=torch.float64, device=place)
        self.add_up([tensor])
        return float(tensor)

    def any(self, here: bool) -> bool:
        """Whether it is so in some process."""
        return self.total(float(here)) > 0

    def check(self, report: Reporter) -> None:
        """As `report.check`, in all processes at once: one that stopped alone would leave the others waiting.

        Raises:
            RunCancelledError: if one of them was asked to stop.
        """
        try:
            report.check()
            asked = False
        except RunCancelledError:
            asked = True
        if self.any(asked):
            raise RunCancelledError


ALONE: Final = Ranks()


def join_ranks(device: Literal["auto", "cpu", "cuda"]) -> Ranks:
    """Meet the other processes of `accelerate launch`; alone where nobody launched more.

    Call it before anything is put on a GPU: it chooses the process's own.
    """
    on_cpu = device == "cpu" or not torch.cuda.is_available()
    state = PartialState(cpu=on_cpu)
    if state.num_processes == 1:
        return ALONE
    sharded = Accelerator(cpu=on_cpu).distributed_type == DistributedType.FSDP
    return Ranks(index=state.process_index, count=state.num_processes, sharded=sharded)


class Follower:
    """The reporter of a process that does not lead: it hears wishes to stop, and says nothing."""

    def __init__(self, report: Reporter) -> None:
        self._report = report

    def progress(self, done: int, total: int, unit: str) -> None: ...

    def stage(self, name: str) -> None: ...

    def metric(self, name: str, value: float, step: int) -> None: ...

    def note(self, text: str) -> None: ...

    def check(self) -> None:
        self._report.check()
