"""The run that makes the next policy from what there is to learn (sections 3.1 and 3.2.3).

Knows what of a policy learns, the order of the steps, and how the result is stored. Must not know where targets come
from, nor how the loss is computed.

Inputs: policy (reference to start from), name, and at least one of the sources of training.core.sources. Output:
a policy directory, of an adapter alone for the recipe lora. Result: examples and target tokens of one pass, steps, the
mean loss of a target token before and after on a fixed part of what was learnt, and the same on examples that were held
back, where there were enough. Where several processes were launched all of them make this call, and the first alone
reports, writes and returns something.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import torch
from peft import LoraConfig, get_peft_model
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from rewardmodel.core.adapters import save_adapter
from rewardmodel.core.backbone import PolicyRef, load_causal_lm, load_tokenizer, pick_device
from rewardmodel.core.files import ManifestError, read_manifest, write_atomically, write_manifest
from rewardmodel.core.layout import token_budget
from rewardmodel.core.ranks import Follower, Ranks, join_ranks
from rewardmodel.core.report import Reporter, RunFailedError
from rewardmodel.core.rows import RowEncoder
from training.core.examples import examples_of, put_aside
from training.core.job import Job
from training.core.packing import Example
from training.core.policy_network import Policy, network_of
from training.core.sft import SftPlan, fit, mean_loss, plan_steps
from training.core.sources import hashes_of, read_sources
from training.core.specs.finetune import FinetuneSpec
from training.core.targets import Target

MEASURED: Final = 64  # targets on which the loss is measured before and after
FEW_STEPS: Final = 10  # warm-up alone takes 5
FAST_FOR_ALL: Final = 1e-4  # a learning rate that suits adapters and not whole weights


@dataclass(frozen=True)
class _Work:
    """What every step needs to know."""

    job: Job
    spec: FinetuneSpec
    ref: PolicyRef
    tokenizer: PreTrainedTokenizerBase
    report: Reporter
    ranks: Ranks


@dataclass(frozen=True)
class _Data:
    """Examples to learn from, and those that are only looked at."""

    learnt: list[Example]
    held: list[Example]


def run(job: Job) -> dict[str, Any]:
    """Fine-tune and publish the policy."""
    ranks = join_ranks(job.file.device)
    report: Reporter = job if ranks.leads else Follower(job)
    spec = cast("FinetuneSpec", job.file.spec())
    ref = PolicyRef.from_json(job.file.inputs["policy"])
    if ref.is_adapter and spec.recipe == "lora":
        raise RunFailedError(f"{ref.name} is an adapter; start from the policy that it adapts")
    work = _Work(job, spec, ref, load_tokenizer(ref), report, ranks)
    report.stage("read")
    sources = read_sources(job.file.inputs)
    report.stage("encode")
    data = _data([target for targets in sources.values() for target in targets], work)
    report.stage("load")
    model, learning = _model(work)
    network = network_of(model, pad=cast("int", work.tokenizer.pad_token_id))
    plan = _plan(work, model.device.type, data)
    report.stage("measure")
    before = _measured_once(network, data, plan, work)
    report.stage("fit")
    fitted = fit(network, data.learnt, plan, work=job.work, report=report, held=data.held, ranks=ranks)
    report.stage("measure")
    after = _measured(network, data, plan, work)
    if not ranks.leads:
        return {}
    report.stage("write")
    result = {
        "examples": len(data.learnt),
        "tokens": sum(example.targets for example in data.learnt),
        "steps": fitted.steps,
        "sources": {name: len(targets) for name, targets in sources.items()},
        **{f"{name}_first": loss for name, loss in before.items()},
        **{f"{name}_last": loss for name, loss in after.items()},
        **({"held_back": len(data.held), "overfits": fitted.overfits} if data.held else {}),
    }
    _publish(work, learning, result)
    return result


def _data(targets: Sequence[Target], work: _Work) -> _Data:
    encoder = RowEncoder(work.tokenizer, work.spec.max_length)
    examples: list[Example] = []
    too_long = 0
    for number, target in enumerate(targets, start=1):
        found = examples_of(target, encoder)
        too_long += not found
        examples += found
        work.report.progress(number, len(targets), "targets")
    if too_long:
        work.report.note(f"{too_long} targets are longer than {work.spec.max_length} tokens: left out.")
    if not examples:
        raise RunFailedError("there is nothing to learn from: no target is left")
    aside = set(put_aside(examples, work.job.file.seed))
    return _Data(
        [example for number, example in enumerate(examples) if number not in aside],
        [examples[number] for number in sorted(aside)],
    )


def _plan(work: _Work, device: str, data: _Data) -> SftPlan:
    spec = work.spec
    asked = spec.gradient_checkpointing
    plan = SftPlan(
        epochs=spec.epochs,
        learning_rate=spec.learning_rate,
        weight_decay=spec.weight_decay,
        examples_per_step=spec.examples_per_step,
        tokens_per_batch=token_budget(spec.tokens_per_batch, device),
        seed=work.job.file.seed,
        recompute=device == "cuda" if asked == "auto" else asked == "on",
    )
    steps = len(plan_steps([example.prompt for example in data.learnt], plan))
    if steps < FEW_STEPS:
        work.report.note(
            f"{len(data.learnt)} examples make {steps} step{'s' * (steps > 1)}; a smaller examples_per_step than "
            f"{spec.examples_per_step}, or more epochs, teaches more."
        )
    if spec.recipe == "full" and spec.learning_rate >= FAST_FOR_ALL:
        work.report.note(
            f"A learning_rate of {spec.learning_rate:g} is for adapters; whole weights want some 2e-5, the paper's."
        )
    return plan


def _model(work: _Work) -> tuple[PreTrainedModel, nn.Module]:
    """The policy, and what of it is stored: itself, or the adapters that were put into its layers."""
    try:
        device = pick_device(work.job.file.device)
        model = load_causal_lm(work.ref, device, torch.float32)  # small steps vanish in bfloat16 weights
    except ValueError as error:
        raise RunFailedError(str(error)) from error
    if work.spec.recipe == "full":
        return model, model
    torch.manual_seed(work.job.file.seed)
    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=work.spec.lora_rank,
        lora_alpha=2 * work.spec.lora_rank,
        lora_dropout=0.0,
        target_modules="all-linear",
    )
    adapted: nn.Module = get_peft_model(model, config)
    return model, adapted


def _measured(network: Policy, data: _Data, plan: SftPlan, work: _Work) -> dict[str, float]:
    """Mean loss of a target token of a part of what is learnt, and of what is held back."""
    parts = {"loss": data.learnt[:MEASURED], "held_loss": data.held}
    return {
        name: mean_loss(network, part, plan, work.report, work.ranks) for name, part in parts.items() if part
    }


def _measured_once(network: Policy, data: _Data, plan: SftPlan, work: _Work) -> dict[str, float]:
    """What was measured in the first attempt that got so far."""
    file = work.job.work / "before.json"
    # One of the processes says for all, since the file appears while they look.
    if not work.ranks.any(work.ranks.leads and file.exists()):
        losses = _measured(network, data, plan, work)
        if work.ranks.leads:
            write_atomically(file, json.dumps(losses))
    found: dict[str, float] = json.loads(file.read_bytes()) if work.ranks.leads else {}
    return found


def _publish(work: _Work, learning: nn.Module, result: Mapping[str, Any]) -> None:
    job = work.job
    staged = job.work / "policy"
    shutil.rmtree(staged, ignore_errors=True)
    staged.mkdir()
    adapter = not isinstance(learning, PreTrainedModel)
    if isinstance(learning, PreTrainedModel):
        learning.save_pretrained(staged)
    else:
        save_adapter(learning, staged, work.ref)
    work.tokenizer.save_pretrained(staged)
    fields = {
        "kind": "policy",
        "name": job.file.inputs["name"],
        "source": "finetune",
        "parent": work.ref.name,
        "template": _template(work.ref.path),
        "code_version": job.file.code_version,
        "seed": job.file.seed,
        "params": job.file.params,
        "metrics": dict(result),
        **hashes_of(job.file.inputs),
    }
    write_manifest(staged, fields | ({"adapter": True} if adapter else {}))
    job.publish(staged)


def _template(policy: Path) -> str:
    try:
        return str(read_manifest(policy).get("template", "model"))
    except ManifestError:
        return "model"
