"""The run that makes the next policy from winners (sections 3.1 and 3.2.3).

Knows the bank of winners, what of a policy learns, and how the result is stored. Must not know where the
winners come from, nor how the loss is computed.

Inputs: policy (reference to start from), targets (files of winners, newest last), name. Output: a policy
directory, of an adapter alone for the recipe lora. Result: examples and target tokens of one pass, steps, and
the mean loss of a target token before and after, on a fixed part of the targets.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, cast

import torch
from peft import LoraConfig, get_peft_model
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from rewardmodel.core.adapters import save_adapter
from rewardmodel.core.backbone import (
    PolicyRef,
    load_causal_lm,
    load_tokenizer,
    pick_device,
)
from rewardmodel.core.files import (
    ManifestError,
    read_manifest,
    sha256_of,
    write_atomically,
    write_manifest,
)
from rewardmodel.core.report import RunFailedError
from rewardmodel.core.rows import RowEncoder
from training.core.chunks import Row, read_lines
from training.core.job import Job
from training.core.selection import is_empty
from training.core.sft import Example, SftPlan, fit, mean_loss
from training.core.specs.finetune import FinetuneSpec

MEASURED: Final = 64  # targets on which the loss is measured before and after


def run(job: Job) -> dict[str, Any]:
    """Fine-tune and publish the policy."""
    spec = cast("FinetuneSpec", job.file.spec())
    ref = PolicyRef.from_json(job.file.inputs["policy"])
    if ref.is_adapter and spec.recipe == "lora":
        raise RunFailedError(f"{ref.name} is an adapter; start from the policy that it adapts")
    tokenizer = load_tokenizer(ref)
    job.stage("encode")
    bank = read_bank([Path(path) for path in job.file.inputs["targets"]])
    examples = _encode(bank, tokenizer, spec, job)
    plan = _plan(spec, cast("int", tokenizer.pad_token_id), job.file.seed)
    job.stage("load")
    model, learning = _model(job, ref, spec)
    job.stage("measure")
    part = examples[:MEASURED]
    before = _once(job.work / "before.json", lambda: mean_loss(model, part, plan, job))
    job.stage("fit")
    steps = fit(model, examples, plan, work=job.work, report=job)
    job.stage("measure")
    after = mean_loss(model, part, plan, job)
    job.stage("write")
    _publish(job, ref, learning, tokenizer)
    return {
        "examples": len(examples),
        "tokens": sum(example.targets for example in examples),
        "steps": steps,
        "loss_first": before,
        "loss_last": after,
    }


def read_bank(files: Sequence[Path]) -> list[Row]:
    """Winners of all files, one a dialogue: the one of the highest score, of equal ones the newest.

    Ordered by dialogue. Up to V3 the paper forgot earlier rounds, "which caused regressions". The scores of
    two rounds come from different reward models, which the choice between them overlooks.
    """
    best: dict[str, Row] = {}
    for file in files:
        for winner in read_lines(file):
            rival = best.get(winner["dialogue"])
            if not is_empty(winner["text"]) and (rival is None or winner["score"] >= rival["score"]):
                best[winner["dialogue"]] = winner
    return [best[dialogue] for dialogue in sorted(best)]


def example_of(winner: Row, encoder: RowEncoder) -> Example | None:
    """The tokens to learn from, or None where they do not fit.

    The end of the turn is a target too, except after a response that was cut at its longest: learning to stop
    there would be learning to stop in the middle of a sentence.
    """
    row = encoder.rows(winner["messages"], [winner["text"]])[0]
    if len(row.tokens) > encoder.max_length:
        return None
    complete = winner.get("finish_reason") != "length"
    return Example(row.tokens, row.start, len(row.tokens) if complete else len(row.tokens) - 1)


def _encode(
    bank: Sequence[Row], tokenizer: PreTrainedTokenizerBase, spec: FinetuneSpec, job: Job
) -> list[Example]:
    encoder = RowEncoder(tokenizer, spec.max_length)
    found = [example_of(winner, encoder) for winner in bank]
    examples = [example for example in found if example is not None]
    if len(examples) < len(found):
        job.note(f"{len(found) - len(examples)} targets are longer than {spec.max_length} tokens: left out.")
    if not examples:
        raise RunFailedError("there is nothing to learn from: no target is left")
    return examples


def _plan(spec: FinetuneSpec, pad: int, seed: int) -> SftPlan:
    return SftPlan(
        epochs=spec.epochs,
        learning_rate=spec.learning_rate,
        weight_decay=spec.weight_decay,
        examples_per_step=spec.examples_per_step,
        tokens_per_batch=spec.tokens_per_batch,
        pad=pad,
        seed=seed,
    )


def _model(job: Job, ref: PolicyRef, spec: FinetuneSpec) -> tuple[PreTrainedModel, nn.Module]:
    """The policy, and what of it is stored: itself, or the adapters that were put into its layers."""
    try:
        device = pick_device(job.file.device)
        model = load_causal_lm(ref, device, torch.float32)  # small steps vanish in bfloat16 weights
    except ValueError as error:
        raise RunFailedError(str(error)) from error
    if spec.recipe == "full":
        return model, model
    torch.manual_seed(job.file.seed)
    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=spec.lora_rank,
        lora_alpha=2 * spec.lora_rank,
        lora_dropout=0.0,
        target_modules="all-linear",
    )
    adapted: nn.Module = get_peft_model(model, config)
    return model, adapted


def _publish(job: Job, ref: PolicyRef, model: nn.Module, tokenizer: PreTrainedTokenizerBase) -> None:
    staged = job.work / "policy"
    shutil.rmtree(staged, ignore_errors=True)
    staged.mkdir()
    adapter = not isinstance(model, PreTrainedModel)
    if isinstance(model, PreTrainedModel):
        model.save_pretrained(staged)
    else:
        save_adapter(model, staged, ref)
    tokenizer.save_pretrained(staged)
    fields = {
        "kind": "policy",
        "name": job.file.inputs["name"],
        "source": "finetune",
        "parent": ref.name,
        "template": _template(ref),
        "code_version": job.file.code_version,
        "seed": job.file.seed,
        "params": job.file.params,
        "targets": [sha256_of(Path(path)) for path in job.file.inputs["targets"]],
    }
    write_manifest(staged, fields | ({"adapter": True} if adapter else {}))
    job.publish(staged)


def _template(ref: PolicyRef) -> str:
    try:
        return str(read_manifest(ref.path).get("template", "model"))
    except ManifestError:
        return "model"


def _once(path: Path, measure: Callable[[], float]) -> float:
    """What `measure` returned in the first attempt that got so far."""
    if not path.exists():
        write_atomically(path, json.dumps(measure()))
    return float(json.loads(path.read_bytes()))
