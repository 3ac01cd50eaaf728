"""Which queue a run waits in, by what it computes and how much memory that takes.

Knows kinds, queues and estimates. Must not know the broker, rows or Django, nor import torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from training.core.estimate import Estimate
from training.core.estimate_run import SERVER
from training.core.queue_names import CPU, GPU, LARGE
from training.core.sizes import Machine
from training.core.spec import RunKind

# A server elsewhere draws the responses of these: what is left is asking.
ONLY_DRAWN: Final = frozenset({RunKind.SAMPLE, RunKind.GATT, RunKind.SELF_CHAT})

BY_KIND: Final[Mapping[RunKind, str]] = MappingProxyType(
    {kind: CPU if kind == RunKind.IMPORT_POLICY else GPU for kind in RunKind}
)


def queue_of(
    kind: RunKind,
    params: Mapping[str, Any],
    estimate: Estimate | None,
    machine: Machine,
    own: Mapping[str, str],
) -> str:
    """The queue of a run: `own` first, which names queues by kind, then the table, and `LARGE` for what `machine`, the
    ordinary worker's, cannot hold. A run that nothing is known of is not large."""
    if kind in own:
        return own[kind]
    if kind in ONLY_DRAWN and params.get("backend") == SERVER:
        return CPU
    queue = BY_KIND[kind]
    return LARGE if queue == GPU and estimate is not None and not estimate.fits(machine) else queue
