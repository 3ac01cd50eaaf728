"""Training of one reward model, from a snapshot to a directory that scores (section 3.2.2).

Knows the order of the steps and what each says no to. Must not know processes, databases or the web.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import torch

from rewardmodel.core.against import against
from rewardmodel.core.artifact import backbone_identity, build_network, save_network
from rewardmodel.core.backbone import PolicyRef, load_tokenizer, pick_device
from rewardmodel.core.charts import charted
from rewardmodel.core.dataset import Dataset, encode_dataset, read_snapshot
from rewardmodel.core.evaluate import ScoredPair, evaluate, summary, write_report
from rewardmodel.core.features import extract
from rewardmodel.core.files import replace_directory, write_manifest
from rewardmodel.core.layout import token_budget
from rewardmodel.core.network import RewardNetwork
from rewardmodel.core.probe import LinearHead, fit
from rewardmodel.core.ranks import Follower, Ranks, join_ranks
from rewardmodel.core.report import Reporter, RunFailedError
from rewardmodel.core.rows import Pair, Row, RowEncoder
from rewardmodel.core.scorer import score_rows
from rewardmodel.core.spec import Recipe, TrainRewardModelSpec
from rewardmodel.core.targets import preferences_of, training_pair_of
from rewardmodel.core.tuning import TrainingPair, TuningPlan, steps_of, tune
from rewardmodel.core.watch import put_aside

FEW_STEPS: Final = 10  # warm-up alone takes 5
UNSTABLE: Final = (
    "The chat template renders a prompt differently once it is answered. Rows are what the template writes, and share "
    "less of their computation; a policy that samples reads something a little different."
)


@dataclass(frozen=True)
class _Job:
    """What every step needs to know."""

    spec: TrainRewardModelSpec
    ref: PolicyRef
    backbone: dict[str, str]
    seed: int
    work: Path
    cache: Path
    report: Reporter
    ranks: Ranks
    watched: dict[str, Any] = field(default_factory=dict)  # what held-back pairs showed, where some were


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

    `inputs` holds `snapshot` (a directory), `backbone` (a policy reference) and `name`; it may hold `cache`, a
    directory in which runs share the features of frozen backbones, and `current`, the reward model to compare with
    (see `against`). What is worth keeping of a killed attempt lies in `work`; the same call then ends with the same
    result, on a CPU byte for byte. Where several processes were launched all of them make this call, and the first
    alone reports, writes and returns something.

    Raises:
        RunFailedError: if the snapshot or the backbone cannot give a reward model; it says what to do.
    """
    ranks = join_ranks(device)
    report = report if ranks.leads else Follower(report)
    ref = PolicyRef.from_json(inputs["backbone"])
    report.stage("read")
    records, snapshot_identity = read_snapshot(Path(inputs["snapshot"]))
    try:
        tokenizer = load_tokenizer(ref)
        identity = backbone_identity(ref, tokenizer)
        encoder = RowEncoder(tokenizer, spec.max_length)
        if not encoder.is_stable():
            report.note(UNSTABLE)
        data = encode_dataset(records, spec, encoder, seed, report)
        report.stage("load")
        network = build_network(
            ref, spec, pad=int(tokenizer.pad_token_id), device=pick_device(device), seed=seed
        )
    except (OSError, ValueError) as error:  # a backbone, a template or a device that does not suit
        raise RunFailedError(f"{ref.name} cannot be used as a backbone: {error}.") from error
    job = _Job(spec, ref, identity, seed, work, Path(inputs.get("cache") or work), report, ranks)
    learn = _learn_probe if spec.recipe is Recipe.PROBE else _learn_by_gradient
    own, other = learn(job, network, data)
    if not ranks.leads:
        return {}
    figures = _figures(job, data, own, other)
    figures |= _against_current(job, inputs.get("current"), own, data.split, device)
    fields = {
        **_facts(job, network, data),
        "name": inputs["name"],
        "snapshot": snapshot_identity,
        "code_version": code_version,
        "metrics": summary(figures),
    }
    _write(job, network, fields, figures, output)
    return {"metrics": fields["metrics"], "mixture": data.mixture}


def _facts(job: _Job, network: RewardNetwork, data: Dataset) -> dict[str, Any]:
    """What the manifest says of how the model came to be."""
    return {
        "kind": "reward_model",
        "focus": job.spec.focus,
        "recipe": job.spec.recipe,
        "backbone": job.backbone,
        "dtype": _dtype_name(network),
        "seed": job.seed,
        "params": job.spec.model_dump(mode="json"),
        "mixture": data.mixture,
    }


def _figures(
    job: _Job, data: Dataset, own: Sequence[ScoredPair], other: Sequence[ScoredPair]
) -> dict[str, Any]:
    """All that is measured, and what the pairs showed that were held back while it learnt."""
    found = evaluate(
        own,
        other,
        train=[pair.record for pair in data.train],
        split=data.split,
        margin_table=job.spec.margin_table,
        seed=job.seed,
    )
    return found | ({"held_back": job.watched} if job.watched.get("pairs") else {})


def _against_current(
    job: _Job,
    reference: Mapping[str, Any] | None,
    own: Sequence[ScoredPair],
    split: Literal["train", "test"],
    device: Literal["auto", "cpu", "cuda"],
) -> dict[str, Any]:
    """The figure `against`, which promotion asks for; nothing where there is no current model to score with."""
    if reference is None:
        return {}
    job.report.stage("compare")
    work = job.work / "against"
    figures = against(reference, own, split=split, device=device, work=work, report=job.report)
    return {} if figures is None else {"against": figures}


def _learn_probe(
    job: _Job, network: RewardNetwork, data: Dataset
) -> tuple[list[ScoredPair], list[ScoredPair]]:
    if not job.ranks.leads:  # there is one optimum, and one process finds it
        return [], []
    job.report.stage("encode")
    pairs = [*data.train, *data.own, *data.other]
    device = network.head.weight.device.type
    computes = (
        f"{job.backbone['sha256']}/{_layers(network)}/{_dtype_name(network)}/{network.pooling}/{device}"
    )
    features = extract(
        network,
        _rows(pairs),
        tokens_per_batch=_budget(job, network),
        cache=job.cache,
        work=job.work,
        backbone=computes,
        report=job.report,
    ).double()
    job.report.stage("fit")
    learnt = 2 * len(data.train)
    with charted(job.report, job.work / "tensorboard") as charts:
        head = fit(
            features[:learnt],
            preferences_of(data.train, job.spec),
            safety_loss_weight=job.spec.safety_loss_weight,
            centring_weight=job.spec.centring_weight,
            l2=job.spec.l2,
            report=charts,
        )
    _install(network, head)
    job.report.stage("evaluate")
    return _scored(data, (features[learnt:] @ head.weight + head.bias).tolist())


def _learn_by_gradient(
    job: _Job, network: RewardNetwork, data: Dataset
) -> tuple[list[ScoredPair], list[ScoredPair]]:
    job.report.stage("fit")
    learnt, held = _held_back(job, data)
    plan = _plan(job, network, learnt)
    job.watched.update(
        tune(network, learnt, plan, held=held, work=job.work, report=job.report, ranks=job.ranks)
    )
    if not job.ranks.leads:
        return [], []
    job.report.stage("evaluate")
    rows = _rows([*data.own, *data.other])
    return _scored(data, score_rows(network, rows, _budget(job, network)))


def _held_back(job: _Job, data: Dataset) -> tuple[list[TrainingPair], list[TrainingPair]]:
    """The pairs to learn from, and those that are put aside to see whether the model learns by heart."""
    pairs = [training_pair_of(pair, job.spec) for pair in data.train]
    held = set(put_aside([pair.record.prompt for pair in data.train], job.seed))
    if held:
        data.mixture["held_back"] = len(held)
    learnt = [pair for number, pair in enumerate(pairs) if number not in held]
    return learnt, [pairs[number] for number in sorted(held)]


def _plan(job: _Job, network: RewardNetwork, pairs: Sequence[TrainingPair]) -> TuningPlan:
    spec = job.spec
    on_gpu = network.head.weight.device.type == "cuda"
    plan = TuningPlan(
        epochs=spec.epochs,
        learning_rate=spec.learning_rate,
        pairs_per_step=spec.pairs_per_step,
        tokens_per_batch=_budget(job, network),
        safety_loss_weight=spec.safety_loss_weight,
        seed=job.seed,
        centring_weight=spec.centring_weight,
        recompute=on_gpu if spec.gradient_checkpointing == "auto" else spec.gradient_checkpointing == "on",
    )
    steps = len(steps_of([pair.prompt for pair in pairs], plan))
    if steps < FEW_STEPS:
        job.report.note(
            f"{len(pairs)} pairs make {steps} step{'s' * (steps > 1)}; a smaller pairs_per_step than "
            f"{spec.pairs_per_step}, or more epochs, teaches more."
        )
    return plan


def _budget(job: _Job, network: RewardNetwork) -> int:
    return token_budget(job.spec.tokens_per_batch, network.head.weight.device.type)


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


def _install(network: RewardNetwork, head: LinearHead) -> None:
    network.head.double()
    with torch.no_grad():
        network.head.weight.copy_(head.weight.unsqueeze(0))
        network.head.bias.copy_(head.bias.reshape(1))


def _layers(network: RewardNetwork) -> int:
    untyped: Any = network.backbone
    return len(untyped.layers)


def _dtype_name(network: RewardNetwork) -> str:
    return str(next(network.backbone.parameters()).dtype).removeprefix("torch.")


def _write(
    job: _Job, network: RewardNetwork, fields: Mapping[str, Any], figures: Mapping[str, Any], output: Path
) -> None:
    job.report.stage("write")
    partial = job.work / "output"
    if partial.exists():  # a killed attempt's
        shutil.rmtree(partial)
    partial.mkdir(parents=True)
    save_network(network, job.spec.recipe, partial, job.ref)
    write_report(partial, figures, fields)
    write_manifest(partial, fields)
    replace_directory(partial, output)
