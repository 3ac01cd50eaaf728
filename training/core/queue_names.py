"""The queues that runs wait in, by name. Must not know anything else: settings, worker and launcher read it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

PREFIX: Final = "runs."
CPU: Final = "runs.cpu"  # no model is computed here, or a small one
GPU: Final = "runs.gpu"  # fits into one GPU of the ordinary workers
LARGE: Final = "runs.gpu.large"  # does not: workers with several GPUs, or larger ones, take it
QUEUES: Final = (CPU, GPU, LARGE)


def all_queues(own: Mapping[str, str]) -> tuple[str, ...]:
    """Every queue that a run may wait in, those of `own`, by kind, included: a worker of all leaves none behind."""
    return tuple(dict.fromkeys((*QUEUES, *own.values())))


def runs_among(queues: Iterable[str]) -> tuple[str, ...]:
    """Those of a worker's queues that runs wait in."""
    return tuple(sorted(queue for queue in queues if queue.startswith(PREFIX)))
