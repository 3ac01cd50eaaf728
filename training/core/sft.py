"""Supervised fine-tuning of a policy on packed examples (sections 3.1 and A.1 of the method).

Knows examples, steps, AdamW's schedule, memory and checkpoints. Must not know text, nor how a policy is stored.

Dropout is off, so that a resumed run sees the same network.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, cast

import numpy as np
import torch
from torch import Tensor

from rewardmodel.core.charts import ChartedReporter, charted
from rewardmodel.core.checkpoint import load_checkpoint, read_notes, save_checkpoint
from rewardmodel.core.memory import explained, is_out_of_memory, recomputed_activations, release
from rewardmodel.core.network import RewardNetwork
from rewardmodel.core.ranks import ALONE, Ranks
from rewardmodel.core.report import Reporter, RunFailedError
from rewardmodel.core.sharding import number_of, spread
from rewardmodel.core.tuning import BETAS, CLIP, EPSILON, learning_rate_share
from rewardmodel.core.watch import Watch, looks
from training.core.examples import members_of
from training.core.packing import Example, Pack, plan_packs
from training.core.policy_network import Policy

CHECKPOINT_SECONDS: Final = 60.0  # at most so much work is lost by a kill
CHECKPOINT: Final = "fit.safetensors"
BUDGET_NOTE, WATCH_NOTE = "tokens_per_batch", "watch"
TOO_LARGE: Final = (
    "Set gradient_checkpointing to on, lower max_length, or use the recipe lora or a smaller policy."
)


@dataclass(frozen=True, slots=True)
class SftPlan:
    """Hyperparameters; the paper's are the defaults of FinetuneSpec. Budgets are in distinct tokens."""

    epochs: int
    learning_rate: float
    weight_decay: float
    examples_per_step: int
    tokens_per_batch: int
    seed: int
    recompute: bool = False  # activations, in the backward pass


@dataclass(frozen=True, slots=True)
class Fitted:
    """How a fine-tuning went. `overfits` says that the held examples' loss rose while that of the others fell."""

    steps: int
    overfits: bool


def fit(
    network: Policy,
    examples: Sequence[Example],
    plan: SftPlan,
    *,
    work: Path,
    report: Reporter,
    held: Sequence[Example] = (),
    ranks: Ranks = ALONE,
) -> Fitted:
    """Train what of `network` requires a gradient, in place, resuming from the checkpoint in `work` if any.

    The gradient of a step does not depend on how its examples are packed or spread over processes, but for rounding.
    Their order depends on seed and epoch alone, so that a resumed run ends with the same bytes on a CPU. Where memory
    does not suffice, the step is done again in packs of half the tokens. `held` are examples that are not learnt from.

    Raises:
        RunFailedError: the loss stops being a number, or memory does not suffice for one example.
        RunCancelledError: somebody asked to stop.
    """
    network.eval()  # dropout off; gradients flow all the same
    file = work / CHECKPOINT
    # What spreads a reward model asks nothing of it that a policy has not.
    with (
        spread(cast("RewardNetwork", network), file, on=ranks.sharded) as parts,
        recomputed_activations(parts.backbone, on=plan.recompute),
    ):
        fitter = _Fitter(cast("Policy", parts), examples, held, plan, file, ranks)
        with charted(report, work / "tensorboard", after=fitter.done, write=ranks.leads) as charts:
            fitter.run(charts)
    return Fitted(len(fitter.steps), fitter.watch.overfits)


class _Fitter:
    """The optimiser and where it stands."""

    def __init__(
        self,
        network: Policy,
        examples: Sequence[Example],
        held: Sequence[Example],
        plan: SftPlan,
        file: Path,
        ranks: Ranks,
    ) -> None:
        self.network, self.examples, self.held, self.file, self.ranks = network, examples, held, file, ranks
        self.parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
        self.optimizer = torch.optim.AdamW(
            self.parameters, lr=plan.learning_rate, betas=BETAS, eps=EPSILON, weight_decay=plan.weight_decay
        )
        self.steps = plan_steps([example.prompt for example in examples], plan)
        self.looks = looks(len(self.steps), plan.epochs) if held else frozenset()
        self.done = load_checkpoint(file, network, self.optimizer)
        notes = read_notes(file)
        self.watch = Watch.from_text(notes.get(WATCH_NOTE))
        self.plan = replace(plan, tokens_per_batch=int(notes.get(BUDGET_NOTE, plan.tokens_per_batch)))

    def run(self, report: ChartedReporter) -> None:
        saved_at = time.monotonic()
        while self.done < len(self.steps):
            loss = self._step(report)
            self.done += 1
            report.metric("loss", loss, self.done)
            self._look(loss, report)
            report.progress(self.done, len(self.steps), "steps")
            due = time.monotonic() - saved_at >= CHECKPOINT_SECONDS
            # Putting spread parameters together takes all processes, whose clocks differ.
            if self.done == len(self.steps) or (self.ranks.any(due) if self.ranks.sharded else due):
                self._save(report)
                saved_at = time.monotonic()
            self.ranks.check(report)

    def _step(self, report: Reporter) -> float:
        """Move the parameters once; the step's loss."""
        share = learning_rate_share(self.done, len(self.steps))
        self.optimizer.param_groups[0]["lr"] = self.plan.learning_rate * share
        loss = self._gradient([self.examples[number] for number in self.steps[self.done]], report)
        norm = number_of(torch.nn.utils.clip_grad_norm_(self.parameters, CLIP))
        if not math.isfinite(loss) or not math.isfinite(norm):
            raise RunFailedError(
                f"In step {self.done + 1} of {len(self.steps)} the loss was {loss:g} and the gradient's length "
                f"{norm:g}: the policy has run away. Train again with a lower learning_rate than "
                f"{self.plan.learning_rate:g}; if it happens in the first step, look at the policy's weights."
            )
        with explained(TOO_LARGE):
            self.optimizer.step()
        self.optimizer.zero_grad()
        return loss

    def _gradient(self, examples: Sequence[Example], report: Reporter) -> float:
        """Put the gradient of the step over `examples` into the parameters; the step's loss.

        A step that fails for want of memory in one process leaves nothing behind, and is done again by all.
        """
        loss = self._attempt(examples, report)
        while self.ranks.any(loss is None):
            self.optimizer.zero_grad()
            release()
            self.plan = _halved(self.plan, examples, report)
            loss = self._attempt(examples, report)
        if not self.ranks.sharded:  # else it is summed already
            for parameter in self.parameters:
                if parameter.grad is None and self.ranks.count > 1:  # no pack was this process's
                    parameter.grad = torch.zeros_like(parameter)
            self.ranks.add_up([parameter.grad for parameter in self.parameters if parameter.grad is not None])
        return self.ranks.total(loss or 0.0)

    def _attempt(self, examples: Sequence[Example], report: Reporter) -> float | None:
        """As `accumulate`, or None where memory does not suffice."""
        try:
            return accumulate(self.network, examples, self.plan, report, self.ranks)
        except (RuntimeError, MemoryError) as error:
            # In the middle of a sum over processes there is no way back.
            if self.ranks.sharded or not is_out_of_memory(error):
                raise
            return None

    def _look(self, loss: float, report: Reporter) -> None:
        """See how the held examples do, when it is time; say so once when they do worse and worse."""
        if not self.held:
            return
        self.watch.learnt(loss)
        if self.done not in self.looks:
            return
        warned = self.watch.overfits
        sums = losses_of(self.network, self.held, self.plan, report, self.ranks)
        means = [loss / example.targets for loss, example in zip(sums, self.held, strict=True)]
        self.watch.look(self.done, means)
        report.metric("held_loss", float(np.mean(means)), self.done)
        if self.watch.overfits and not warned:
            report.note(
                f"The loss of {len(means)} examples that are held back has begun to rise while that of the others "
                "falls: the policy learns its targets by heart. Fewer epochs or a lower learning_rate help."
            )

    def _save(self, report: ChartedReporter) -> None:
        report.flush()
        notes = {BUDGET_NOTE: str(self.plan.tokens_per_batch), WATCH_NOTE: self.watch.to_text()}
        write = self.ranks.leads
        save_checkpoint(self.file, self.network, self.optimizer, self.done, notes=notes, write=write)


def accumulate(
    network: Policy, examples: Sequence[Example], plan: SftPlan, report: Reporter, ranks: Ranks = ALONE
) -> float:
    """Add this process's part of the gradient of one step to the parameters'; return its part of the loss.

    The loss is the mean over all target tokens of the step. Each pack adds its part of the sum, so that the cut into
    packs changes nothing but rounding.
    """
    targets = sum(example.targets for example in examples)
    packs = plan_packs(examples, plan.tokens_per_batch)
    mine = [packs[number] for number in ranks.share(len(packs))]
    total = 0.0
    for pack in mine:
        loss = _loss(network, pack) / targets
        total += float(loss.detach())
        _backward(loss, ranks)
        if ranks.count == 1:
            report.check()
    if ranks.sharded and len(mine) < math.ceil(len(packs) / ranks.count):
        _backward(0.0 * _loss(network, packs[0]), ranks)  # the others wait for every pass
    return total


def losses_of(
    network: Policy, examples: Sequence[Example], plan: SftPlan, report: Reporter, ranks: Ranks = ALONE
) -> list[float]:
    """Loss of each example without learning, summed over its targets, in nats; in all processes."""
    packs = plan_packs(examples, plan.tokens_per_batch)
    found = torch.zeros(len(examples), dtype=torch.float64, device=next(network.parameters()).device)
    with torch.no_grad(), explained(TOO_LARGE):
        for number in range(len(packs)) if ranks.sharded else ranks.share(len(packs)):
            each = _loss(network, packs[number], each=True).double()
            for example, own in zip(packs[number].examples, packs[number].own, strict=True):
                found[example] = each[torch.from_numpy(own).to(each.device)].sum()
            if ranks.count == 1:
                report.check()
    if not ranks.sharded:
        ranks.add_up([found])
    losses: list[float] = found.tolist()
    return losses


def mean_loss(
    network: Policy, examples: Sequence[Example], plan: SftPlan, report: Reporter, ranks: Ranks = ALONE
) -> float:
    """Mean loss of a target token, in nats, without learning; in all processes."""
    return math.fsum(losses_of(network, examples, plan, report, ranks)) / sum(
        example.targets for example in examples
    )


def plan_steps(prompts: Sequence[str], plan: SftPlan) -> list[list[int]]:
    """Numbers of the examples of every step of every epoch; an epoch's last step takes what is left over.

    Examples of one prompt follow each other, in the order given, so that they meet in one step and share their
    computation. Prompts are drawn at random.
    """
    groups = list(members_of(prompts).values())
    size = plan.examples_per_step
    steps: list[list[int]] = []
    for epoch in range(plan.epochs):
        drawn = np.random.default_rng([plan.seed, epoch]).permutation(len(groups)).tolist()
        order = [number for group in drawn for number in groups[group]]
        steps += [order[start : start + size] for start in range(0, len(order), size)]
    return steps


def _loss(network: Policy, pack: Pack, *, each: bool = False) -> Tensor:
    on_gpu = next(network.parameters()).device.type == "cuda"
    with torch.autocast("cuda", torch.bfloat16, enabled=on_gpu):
        loss: Tensor = network(pack, each=each)
    return loss


def _backward(loss: Tensor, ranks: Ranks) -> None:
    # Spread parameters take the mean over processes of what is to be a sum.
    scaled = loss * ranks.count if ranks.sharded else loss
    scaled.backward()  # type: ignore[no-untyped-call]


def _halved(plan: SftPlan, examples: Sequence[Example], report: Reporter) -> SftPlan:
    if all(len(pack.examples) == 1 for pack in plan_packs(examples, plan.tokens_per_batch)):
        raise RunFailedError(f"The memory does not suffice for one example at a time. {TOO_LARGE}")
    less = plan.tokens_per_batch // 2
    report.note(f"The memory does not suffice; training goes on in packs of at most {less} tokens.")
    return replace(plan, tokens_per_batch=less)
