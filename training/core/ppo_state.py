"""Where a run of PPO stands: what was measured, which policy was best, when to stop, and all of it on disk.

Knows held-out rewards and checkpoints. Must not know how answers are drawn, scored or learnt from.

What counts as a gain: the held-out prompts are answered with the same seeds at every measurement, so that two
measurements are compared answer by answer. A measurement is a gain where the mean difference to the last gain (the
start at first) is above 0 by 1.96 standard errors. Small gains add up, since they are compared with the last gain and
not with the measurement before.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import fmean, stdev
from typing import Final, Literal

import torch
from safetensors.torch import save

from annotation.core.records import canonical_json
from rewardmodel.core.checkpoint import load_checkpoint, load_weights, read_notes, save_checkpoint
from rewardmodel.core.files import write_atomically
from training.core.specs.ppo import PpoSpec
from training.core.value_head import ActorCritic

INTERVAL: Final = 1.96  # standard errors, for 95 %
CHECKPOINT: Final = "ppo.safetensors"
HISTORY: Final = "history"

Stop = Literal["", "iterations", "no gain", "kl"]


@dataclass
class History:
    """What is known after `iteration` iterations and `steps` gradient steps; rewards are means of LOGIT(Rc).

    Attributes:
        first, last: the figures of the first and the last iteration.
        start, best: mean held-out reward of the start and of the best policy; None where nothing is held out.
        best_iteration: after which the best policy stood.
        gain: held-out rewards, prompt by prompt, of the last measurement that was a gain.
        misses: measurements since.
        stopped: why the run is over; empty while it is not.
    """

    iteration: int = 0
    steps: int = 0
    first: dict[str, float] = field(default_factory=dict)
    last: dict[str, float] = field(default_factory=dict)
    start: float | None = None
    best: float | None = None
    best_iteration: int = 0
    gain: list[float] = field(default_factory=list)
    misses: int = 0
    stopped: Stop = ""

    def measured(self, rewards: list[float]) -> bool:
        """Note the rewards of the held-out prompts; whether this is the best policy so far."""
        mean = fmean(rewards)
        if self.start is None:
            self.start, self.gain = mean, rewards
        elif is_gain(rewards, self.gain):
            self.gain, self.misses = rewards, 0
        else:
            self.misses += 1
        if self.best is not None and mean <= self.best:
            return False
        self.best, self.best_iteration = mean, self.iteration
        return True

    def is_over(self, spec: PpoSpec) -> bool:
        """Whether there is a reason to stop, which is noted."""
        if not self.stopped and self.misses >= spec.patience:
            self.stopped = "no gain"
        if not self.stopped and self.iteration >= spec.iterations:
            self.stopped = "iterations"
        return bool(self.stopped)


def is_gain(rewards: list[float], before: list[float]) -> bool:
    """Whether the mean of the differences, answer by answer, is above 0 beyond its 95 % interval; of two at least."""
    differences = [now - then for now, then in zip(rewards, before, strict=True)]
    return fmean(differences) > INTERVAL * stdev(differences) / math.sqrt(len(differences))


class Store:
    """The files of one run's state in its work folder.

    The best policy's file is named by its iteration, and is there before a checkpoint speaks of it: wherever the
    process is killed, the checkpoint that is found names a file that is whole.
    """

    def __init__(self, work: Path, actor: ActorCritic, optimizer: torch.optim.AdamW) -> None:
        self._work, self._actor, self._optimizer = work, actor, optimizer
        self._file = work / CHECKPOINT

    def load(self) -> History:
        """Put the checkpoint's state in place; a new history where there is none."""
        load_checkpoint(self._file, self._actor, self._optimizer)
        notes = read_notes(self._file)
        return History(**json.loads(notes[HISTORY])) if notes else History()

    def save(self, history: History) -> None:
        notes = {HISTORY: canonical_json(asdict(history))}
        save_checkpoint(self._file, self._actor, self._optimizer, history.steps, notes=notes)
        for file in self._work.glob("best-*.safetensors"):
            if file != self._best(history):
                file.unlink()

    def keep_best(self, history: History) -> None:
        """Write down what learns, as it is now, as the best policy of the history."""
        learning = {
            f"parameter.{name}": parameter.detach().cpu().contiguous()
            for name, parameter in self._actor.named_parameters()
            if parameter.requires_grad
        }
        write_atomically(self._best(history), save(learning))

    def restore_best(self, history: History) -> None:
        """Put the best policy in place; the last one stays where nothing was measured."""
        if history.best is not None:
            load_weights(self._best(history), self._actor)

    def _best(self, history: History) -> Path:
        return self._work / f"best-{history.best_iteration:06d}.safetensors"
