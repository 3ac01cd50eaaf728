"""Training of a backbone, or of adapters on it, together with the reward head (sections 3.2.2 and A.3).

Knows pairs, losses, schedule and checkpoints. Must not know text, grades or evaluation.

Dropout is off, so that a resumed run sees the same network.
"""

from __future__ import annotations

import math
import time
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from rewardmodel.core.charts import ChartedReporter, charted
from rewardmodel.core.checkpoint import load_checkpoint, read_notes, save_checkpoint
from rewardmodel.core.layout import Batch, plan_batches
from rewardmodel.core.losses import centring_losses, margin_losses, safety_losses
from rewardmodel.core.memory import explained, is_out_of_memory, recomputed_activations, release
from rewardmodel.core.network import RewardNetwork
from rewardmodel.core.ranks import ALONE, Ranks
from rewardmodel.core.report import Reporter, RunFailedError
from rewardmodel.core.rows import Row
from rewardmodel.core.sharding import number_of, spread
from rewardmodel.core.watch import Watch, looks

BETAS: Final = (0.9, 0.95)
EPSILON: Final = 1e-5
WEIGHT_DECAY: Final = 0.1
CLIP: Final = 1.0
WARM_UP_SHARE: Final = 0.03
WARM_UP_STEPS: Final = 5
CHECKPOINT_SECONDS: Final = 60.0  # at most so much work is lost by a kill
FLOOR: Final = 0.1  # the cosine ends at this share of the peak
CHECKPOINT: Final = "tuning.safetensors"
BUDGET_NOTE, WATCH_NOTE = "tokens_per_batch", "watch"


@dataclass(frozen=True, slots=True)
class TrainingPair:
    """One comparison as the loss sees it. Signs: +1 safe, -1 unsafe, 0 without a label.

    `prompt` names the prompt that the dialogue began with; pairs of one prompt are learnt in one step.
    """

    chosen: Row
    rejected: Row
    margin: float
    weight: float
    chosen_sign: int
    rejected_sign: int
    prompt: Hashable


@dataclass(frozen=True, slots=True)
class TuningPlan:
    """Hyperparameters; the paper's are the defaults of TrainRewardModelSpec."""

    epochs: int
    learning_rate: float
    pairs_per_step: int
    tokens_per_batch: int
    safety_loss_weight: float
    seed: int
    centring_weight: float = 0.0
    recompute: bool = False  # activations, in the backward pass


def tune(
    network: RewardNetwork,
    pairs: Sequence[TrainingPair],
    plan: TuningPlan,
    *,
    work: Path,
    report: Reporter,
    held: Sequence[TrainingPair] = (),
    ranks: Ranks = ALONE,
) -> dict[str, Any]:
    """Train what of `network` requires a gradient, in place, resuming from the checkpoint in `work` if any.

    The gradient of a step does not depend on how its pairs are cut into batches or spread over processes, but for
    rounding. The order of the pairs depends on seed and epoch alone, so that a resumed run ends with the same bytes
    on a CPU. Where memory does not suffice, the step is done again in batches of half the tokens.

    Returns:
        What `held`, pairs that are not learnt from, showed on the way: see `Watch.figures`.

    Raises:
        RunFailedError: if the loss stops being a number, or memory does not suffice for one pair.
        RunCancelledError: if somebody asked to stop.
    """
    network.eval()  # dropout off; gradients flow all the same
    file = work / CHECKPOINT
    with (
        spread(network, file, on=ranks.sharded) as parts,
        recomputed_activations(parts.backbone, on=plan.recompute),
    ):
        tuner = _Tuner(parts, pairs, held, plan, file, ranks)
        with charted(report, work / "tensorboard", after=tuner.done, write=ranks.leads) as charts:
            tuner.run(charts)
    return tuner.watch.figures()


class _Tuner:
    """The optimiser and where it stands."""

    def __init__(
        self,
        network: RewardNetwork,
        pairs: Sequence[TrainingPair],
        held: Sequence[TrainingPair],
        plan: TuningPlan,
        file: Path,
        ranks: Ranks,
    ) -> None:
        self.network, self.pairs, self.held, self.file, self.ranks = network, pairs, held, file, ranks
        self.parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
        self.optimizer = torch.optim.AdamW(
            self.parameters, lr=plan.learning_rate, betas=BETAS, eps=EPSILON, weight_decay=WEIGHT_DECAY
        )
        self.steps = steps_of([pair.prompt for pair in pairs], plan)
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
            if self.held:
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
        pairs = [self.pairs[index] for index in self.steps[self.done]]
        loss = self._gradient(pairs, report)
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, CLIP)
        if not math.isfinite(loss) or not math.isfinite(number_of(norm)):
            raise RunFailedError(
                f"In step {self.done + 1} of {len(self.steps)} the loss was {loss:g} and the gradient's length "
                f"{number_of(norm):g}: the model has run away. Train again with a lower learning_rate than "
                f"{self.plan.learning_rate:g}; if it happens in the first step, look at the backbone's weights."
            )
        with explained("The recipe lora needs far less than full; so does a smaller backbone."):
            self.optimizer.step()
        self.optimizer.zero_grad()
        return loss

    def _gradient(self, pairs: Sequence[TrainingPair], report: Reporter) -> float:
        """Put the gradient of the step over `pairs` into the parameters; the step's loss.

        A step that fails for want of memory in one process leaves nothing behind, and is done again by all.
        """
        loss = self._attempt(pairs)
        while self.ranks.any(loss is None):
            self.optimizer.zero_grad()
            release()
            self.plan = _halved(self.plan, pairs, report)
            loss = self._attempt(pairs)
        if not self.ranks.sharded:  # else it is summed already
            for parameter in self.parameters:
                if parameter.grad is None and self.ranks.count > 1:  # no batch was this process's
                    parameter.grad = torch.zeros_like(parameter)
            self.ranks.add_up([parameter.grad for parameter in self.parameters if parameter.grad is not None])
        return self.ranks.total(loss or 0.0)

    def _attempt(self, pairs: Sequence[TrainingPair]) -> float | None:
        """As `accumulate`, or None where memory does not suffice."""
        try:
            return accumulate(self.network, pairs, self.plan, self.ranks)
        except (RuntimeError, MemoryError) as error:
            # In the middle of a sum over processes there is no way back.
            if self.ranks.sharded or not is_out_of_memory(error):
                raise
            return None

    def _look(self, loss: float, report: Reporter) -> None:
        """See how the held pairs do, when it is time; say so once when they do worse and worse."""
        self.watch.learnt(loss)
        if self.done not in self.looks:
            return
        warned = self.watch.overfits
        losses = held_losses(self.network, self.held, self.plan, self.ranks)
        self.watch.look(self.done, losses)
        report.metric("held_loss", float(np.mean(losses)), self.done)
        if self.watch.overfits and not warned:
            report.note(
                f"The loss of {len(losses)} training pairs that are held back has begun to rise while that of the "
                "others falls: the model learns its pairs by heart. Fewer epochs or a lower learning_rate help."
            )

    def _save(self, report: ChartedReporter) -> None:
        report.flush()
        notes = {BUDGET_NOTE: str(self.plan.tokens_per_batch), WATCH_NOTE: self.watch.to_text()}
        write = self.ranks.leads
        save_checkpoint(self.file, self.network, self.optimizer, self.done, notes=notes, write=write)


def learning_rate_share(step: int, steps: int) -> float:
    """Share of the peak at 0-based `step` of `steps`: linear warm-up, then a cosine down to 10 %.

    Warm-up is 3 % of the steps and at least 5 (section A.3), but never more than there are.
    """
    warm_up = min(steps, max(WARM_UP_STEPS, math.ceil(WARM_UP_SHARE * steps)))
    if step < warm_up:
        return (step + 1) / warm_up
    fallen = (step + 1 - warm_up) / max(1, steps - warm_up)
    return FLOOR + (1 - FLOOR) * (1 + math.cos(math.pi * fallen)) / 2


def steps_of(prompts: Sequence[Hashable], plan: TuningPlan) -> list[list[int]]:
    """Indices of the pairs of every step of every epoch; an epoch's last step takes what is left over.

    `prompts` names the prompt that each pair's dialogue began with. Pairs of one prompt follow each other, in the order
    given: the turns of a dialogue meet in one step, where they share a tree. Prompts are drawn at random.
    """
    members: dict[Hashable, list[int]] = {}
    for number, prompt in enumerate(prompts):
        members.setdefault(prompt, []).append(number)
    groups = list(members.values())
    steps: list[list[int]] = []
    for epoch in range(plan.epochs):
        drawn = np.random.default_rng([plan.seed, epoch]).permutation(len(groups)).tolist()
        order = [number for group in drawn for number in groups[group]]
        steps += [order[i : i + plan.pairs_per_step] for i in range(0, len(order), plan.pairs_per_step)]
    return steps


def accumulate(
    network: RewardNetwork, pairs: Sequence[TrainingPair], plan: TuningPlan, ranks: Ranks = ALONE
) -> float:
    """Add this process's part of the gradient of one step over `pairs` to the parameters'; return its part of the loss.

    The loss is the weighted mean of Eq. 2 over the pairs, with centring, plus the mean safety loss over the labelled
    responses. Each batch adds its part of the sums, so that the cut into batches changes nothing.
    """
    weight = sum(pair.weight for pair in pairs)
    labels = sum(abs(pair.chosen_sign) + abs(pair.rejected_sign) for pair in pairs)
    batches = _planned(pairs, plan)
    mine = [batches[number] for number in ranks.share(len(batches))]
    total = 0.0
    for batch in mine:
        preference, safety = _sums(_rewards(network, batch, pairs), batch, pairs, plan)
        loss = preference / weight + plan.safety_loss_weight * safety / max(1, labels)
        total += float(loss.detach())
        _backward(loss, ranks)
    if ranks.sharded and len(mine) < math.ceil(len(batches) / ranks.count):
        _backward(0.0 * _rewards(network, batches[0], pairs).sum(), ranks)  # the others wait for every pass
    return total


@torch.no_grad()
def held_losses(
    network: RewardNetwork, pairs: Sequence[TrainingPair], plan: TuningPlan, ranks: Ranks = ALONE
) -> list[float]:
    """The loss of Eq. 2 of each pair, in all processes."""
    losses = torch.zeros(len(pairs), device=network.head.weight.device)
    batches = _planned(pairs, plan)
    for number in range(len(batches)) if ranks.sharded else ranks.share(len(batches)):
        batch = batches[number]
        chosen, rejected = _by_side(_rewards(network, batch, pairs), batch)
        margins = losses.new_tensor([pairs[item].margin for item in batch.items])
        losses[list(batch.items)] = margin_losses(chosen, rejected, margins)
    if not ranks.sharded:
        ranks.add_up([losses])
    found: list[float] = losses.tolist()
    return found


def _planned(pairs: Sequence[TrainingPair], plan: TuningPlan) -> list[Batch]:
    items = [[pair.chosen.tokens, pair.rejected.tokens] for pair in pairs]
    return plan_batches(items, tokens_per_batch=plan.tokens_per_batch)


def _rewards(network: RewardNetwork, batch: Batch, pairs: Sequence[TrainingPair]) -> Tensor:
    """Rewards of the batch's rows, in float32."""
    sides = [(pairs[row // 2].rejected if row % 2 else pairs[row // 2].chosen) for row in batch.rows]
    on_gpu = network.head.weight.device.type == "cuda"
    with torch.autocast("cuda", torch.bfloat16, enabled=on_gpu):
        rewards: Tensor = network(batch, [side.start for side in sides])
    return rewards.float()


def _by_side(rewards: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    """Chosen and rejected rewards of the batch's items, in their order."""
    place = {row: index for index, row in enumerate(batch.rows)}
    chosen = rewards[[place[2 * item] for item in batch.items]]
    return chosen, rewards[[place[2 * item + 1] for item in batch.items]]


def _sums(
    rewards: Tensor, batch: Batch, pairs: Sequence[TrainingPair], plan: TuningPlan
) -> tuple[Tensor, Tensor]:
    """Sums of the weighted pair losses and of the safety losses of a batch, two scalars."""
    chosen, rejected = _by_side(rewards, batch)
    here = [pairs[item] for item in batch.items]
    margins = rewards.new_tensor([pair.margin for pair in here])
    weights = rewards.new_tensor([pair.weight for pair in here])
    signs = rewards.new_tensor([[pair.chosen_sign, pair.rejected_sign] for pair in here]).flatten()
    both = torch.stack([chosen, rejected], dim=1).flatten()
    labelled = signs != 0
    losses = margin_losses(chosen, rejected, margins)
    if plan.centring_weight:
        losses = losses + plan.centring_weight * centring_losses(chosen, rejected)
    return (weights * losses).sum(), safety_losses(both[labelled], signs[labelled]).sum()


def _backward(loss: Tensor, ranks: Ranks) -> None:
    # Spread parameters take the mean over processes of what is to be a sum.
    scaled = loss * ranks.count if ranks.sharded else loss
    scaled.backward()  # type: ignore[no-untyped-call]


def _halved(plan: TuningPlan, pairs: Sequence[TrainingPair], report: Reporter) -> TuningPlan:
    if all(len(batch.items) == 1 for batch in _planned(pairs, plan)):
        raise RunFailedError(
            "The memory does not suffice for one pair at a time. Set gradient_checkpointing to on, lower max_length, "
            "or use the recipe lora or a smaller backbone."
        )
    less = plan.tokens_per_batch // 2
    report.note(f"The memory does not suffice; training goes on in batches of at most {less} tokens.")
    return replace(plan, tokens_per_batch=less)
