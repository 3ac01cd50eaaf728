"""Training of one reward model, from a snapshot to a directory that scores (section 3.2.2).

Knows the order of the steps and what each says no to. Must not know processes, databases or the web.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import torch

from rewardmodel.core.artifact import backbone_identity, build_network, save_network
from rewardmodel.core.backbone import PolicyRef, load_tokenizer, pick_device
from rewardmodel.core.dataset import Dataset, encode_dataset, read_snapshot, safety_signs
from rewardmodel.core.evaluate import ScoredPair, metrics
from rewardmodel.core.features import extract
from rewardmodel.core.files import replace_directory, write_manifest
from rewardmodel.core.network import RewardNetwork
from rewardmodel.core.probe import LinearHead, Preferences, fit
from rewardmodel.core.report import Reporter, RunFailedError
from rewardmodel.core.rows import Pair, Row, RowEncoder
from rewardmodel.core.scorer import score_rows
from rewardmodel.core.spec import Recipe, TrainRewardModelSpec
from rewardmodel.core.tuning import TrainingPair, TuningPlan, steps_of, tune

FEW_STEPS: Final = 10  # warm-up alone takes 5


@dataclass(frozen=True)
class _Job:
    """What every step needs to know."""

    spec: TrainRewardModelSpec
    ref: PolicyRef
    backbone: dict[str, str]
    seed: int
    work: Path
    report: Reporter


def train(
    *,
    spec: TrainRewardModelSpec,
    inputs: Mapping[str, Any],
    seed: int,
    device: Literal["auto", "cpu", "cuda"],
    code_version: str,
    work: Path,
    output: Path,
    report: Reporter,
) -> dict[str, Any]:
    """Train and write a reward model into `output`; return `{"metrics": ..., "mixture": ...}`.

    `inputs` holds `snapshot` (a directory), `backbone` (a policy reference) and `name`. What is worth keeping
    of a killed attempt lies in `work`; the same call then ends with the same result, on a CPU byte for byte.

    Raises:
        RunFailedError: if the snapshot or the backbone cannot give a reward model; it says what to do.
    """
    snapshot = Path(inputs["snapshot"])
    ref = PolicyRef.from_json(inputs["backbone"])
    report.stage("read")
    records, snapshot_identity = read_snapshot(snapshot)
    try:
        tokenizer = load_tokenizer(ref)
        identity = backbone_identity(ref, tokenizer)
        data = encode_dataset(records, spec, RowEncoder(tokenizer, spec.max_length), seed, report)
        report.stage("load")
        network = build_network(
            ref, spec, pad=int(tokenizer.pad_token_id), device=pick_device(device), seed=seed
        )
    except (OSError, ValueError) as error:  # a backbone, a template or a device that does not suit
        raise RunFailedError(f"{ref.name} cannot be used as a backbone: {error}.") from error
    job = _Job(spec, ref, identity, seed, work, report)
    learn = _learn_probe if spec.recipe is Recipe.PROBE else _learn_by_gradient
    own, other = learn(job, network, data)
    figures = metrics(own, other, split=data.split, margin_table=spec.margin_table)
    fields = {
        "kind": "reward_model",
        "name": inputs["name"],
        "focus": spec.focus,
        "recipe": spec.recipe,
        "backbone": identity,
        "dtype": _dtype_name(network),
        "snapshot": snapshot_identity,
        "code_version": code_version,
        "seed": seed,
        "params": spec.model_dump(mode="json"),
        "mixture": data.mixture,
        "metrics": figures,
    }
    _write(job, network, fields, output)
    return {"metrics": figures, "mixture": data.mixture}


def _learn_probe(
    job: _Job, network: RewardNetwork, data: Dataset
) -> tuple[list[ScoredPair], list[ScoredPair]]:
    job.report.stage("encode")
    pairs = [*data.train, *data.own, *data.other]
    computes = f"{job.backbone['sha256']}/{job.spec.layer_fraction}/{_dtype_name(network)}"
    features = extract(
        network,
        _rows(pairs),
        tokens_per_batch=job.spec.tokens_per_batch,
        cache=job.work,
        backbone=computes,
        report=job.report,
    ).double()
    job.report.stage("fit")
    learnt = 2 * len(data.train)
    head = fit(
        features[:learnt],
        _preferences(data.train, job.spec),
        safety_loss_weight=job.spec.safety_loss_weight,
        l2=job.spec.l2,
        report=job.report,
    )
    _install(network, head)
    job.report.stage("evaluate")
    return _scored(data, (features[learnt:] @ head.weight + head.bias).tolist())


def _learn_by_gradient(
    job: _Job, network: RewardNetwork, data: Dataset
) -> tuple[list[ScoredPair], list[ScoredPair]]:
    job.report.stage("fit")
    spec = job.spec
    plan = TuningPlan(
        epochs=spec.epochs,
        learning_rate=spec.learning_rate,
        pairs_per_step=spec.pairs_per_step,
        tokens_per_batch=spec.tokens_per_batch,
        safety_loss_weight=spec.safety_loss_weight,
        seed=job.seed,
    )
    steps = len(steps_of(len(data.train), plan))
    if steps < FEW_STEPS:
        job.report.note(
            f"{len(data.train)} pairs make {steps} step{'s' * (steps > 1)}; a smaller pairs_per_step than "
            f"{spec.pairs_per_step}, or more epochs, teaches more."
        )
    tune(network, [_training_pair(pair, spec) for pair in data.train], plan, work=job.work, report=job.report)
    job.report.stage("evaluate")
    rows = _rows([*data.own, *data.other])
    return _scored(data, score_rows(network, rows, spec.tokens_per_batch))


def _rows(pairs: Sequence[Pair]) -> list[Row]:
    """Chosen and rejected in turn: pair i has rows 2i and 2i + 1."""
    return [row for pair in pairs for row in (pair.chosen, pair.rejected)]


def _scored(data: Dataset, rewards: Sequence[float]) -> tuple[list[ScoredPair], list[ScoredPair]]:
    """The evaluated pairs, own and other, with the rewards of their rows."""
    scored = [
        ScoredPair(pair.record, chosen, rejected)
        for pair, chosen, rejected in zip([*data.own, *data.other], rewards[::2], rewards[1::2], strict=True)
    ]
    return scored[: len(data.own)], scored[len(data.own) :]


def _preferences(pairs: Sequence[Pair], spec: TrainRewardModelSpec) -> Preferences:
    signs = np.array([safety_signs(pair.record.safety) for pair in pairs], dtype=np.float64).reshape(-1)
    labelled = np.flatnonzero(signs)
    margins = [pair.record.margin_under(spec.margin_table) for pair in pairs]
    return Preferences(
        chosen=torch.arange(0, 2 * len(pairs), 2),
        rejected=torch.arange(1, 2 * len(pairs), 2),
        margins=torch.tensor(margins, dtype=torch.float64),
        weights=torch.tensor([pair.record.weight for pair in pairs], dtype=torch.float64),
        labelled=torch.from_numpy(labelled),
        signs=torch.from_numpy(signs[labelled]),
    )


def _training_pair(pair: Pair, spec: TrainRewardModelSpec) -> TrainingPair:
    chosen_sign, rejected_sign = safety_signs(pair.record.safety)
    margin = pair.record.margin_under(spec.margin_table)
    return TrainingPair(pair.chosen, pair.rejected, margin, pair.record.weight, chosen_sign, rejected_sign)


def _install(network: RewardNetwork, head: LinearHead) -> None:
    network.head.double()
    with torch.no_grad():
        network.head.weight.copy_(head.weight.unsqueeze(0))
        network.head.bias.copy_(head.bias.reshape(1))


def _dtype_name(network: RewardNetwork) -> str:
    return str(next(network.backbone.parameters()).dtype).removeprefix("torch.")


def _write(job: _Job, network: RewardNetwork, fields: Mapping[str, Any], output: Path) -> None:
    job.report.stage("write")
    partial = job.work / "output"
    if partial.exists():  # a killed attempt's
        shutil.rmtree(partial)
    partial.mkdir(parents=True)
    save_network(network, job.spec.recipe, partial, job.ref)
    write_manifest(partial, fields)
    replace_directory(partial, output)
