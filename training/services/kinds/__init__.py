"""What each kind of run reads and makes: the bridge between rows and the files of a run's folder.

A kind's module has three functions:

- `prepare(run)` returns the inputs for spec.json and may write files beside it; called once a run;
- `collect(run)` reads what the process made, outside any transaction;
- `register(run, data)` stores it, inside the transaction that ends the run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any, Final

from django.conf import settings

from rewardmodel.core.files import write_atomically
from training.core.spec import RunFile, RunKind
from training.models import Run
from training.services import iterations
from training.services.kinds import (
    compare_reward_models,
    distill,
    finetune,
    gatt,
    import_policy,
    ppo,
    rejection_sample,
    sample,
    score,
    score_pairs,
    self_chat,
    train_reward_model,
)
from training.services.references import write_server_keys

KINDS: Final[Mapping[RunKind, ModuleType]] = MappingProxyType(
    {
        RunKind.IMPORT_POLICY: import_policy,
        RunKind.SAMPLE: sample,
        RunKind.TRAIN_REWARD_MODEL: train_reward_model,
        RunKind.SCORE_PAIRS: score_pairs,
        RunKind.SCORE: score,
        RunKind.REJECTION_SAMPLE: rejection_sample,
        RunKind.FINETUNE: finetune,
        RunKind.COMPARE_REWARD_MODELS: compare_reward_models,
        RunKind.PPO: ppo,
        RunKind.GATT: gatt,
        RunKind.DISTILL: distill,
        RunKind.SELF_CHAT: self_chat,
    }
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """`result` is the process's result.json; `data` is what the kind's `collect` read."""

    result: dict[str, Any]
    data: Any


def write_spec(run: Run) -> Path:
    """Write spec.json and the files it names, unless an earlier attempt did: a run never changes its inputs.

    spec.json is written last, so its presence means that all is there.
    """
    run.folder.mkdir(parents=True, exist_ok=True)
    write_server_keys(run.folder)
    path = run.folder / "spec.json"
    if not path.exists():
        file = RunFile(
            kind=RunKind(run.kind),
            seed=run.seed,
            code_version=settings.VERSION,
            params=run.params,
            inputs=KINDS[RunKind(run.kind)].prepare(run),
        )
        write_atomically(path, file.model_dump_json(indent=2))
    return path


def collect(run: Run) -> Outcome:
    result = json.loads((run.folder / "result.json").read_text())
    return Outcome(result, KINDS[RunKind(run.kind)].collect(run))


def register(run: Run, outcome: Outcome) -> None:
    """Store what the run made, and move its iteration on. Runs inside the transaction that ends the run."""
    KINDS[RunKind(run.kind)].register(run, outcome.data)
    iterations.note_success(run)
