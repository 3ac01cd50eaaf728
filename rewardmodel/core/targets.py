"""Encoded pairs as a loss wants them: margins by the chosen table, weights, and signs of safety labels.

Knows records, tables and labels. Must not know models or how a loss is made small.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from rewardmodel.core.dataset import safety_signs
from rewardmodel.core.probe import Preferences
from rewardmodel.core.rows import Pair
from rewardmodel.core.spec import TrainRewardModelSpec
from rewardmodel.core.tuning import TrainingPair


def preferences_of(pairs: Sequence[Pair], spec: TrainRewardModelSpec) -> Preferences:
    """For the probe; the features of pair i are rows 2i (chosen) and 2i + 1 (rejected)."""
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


def training_pair_of(pair: Pair, spec: TrainRewardModelSpec) -> TrainingPair:
    """For training by gradient."""
    chosen_sign, rejected_sign = safety_signs(pair.record.safety)
    record = pair.record
    margin = record.margin_under(spec.margin_table)
    return TrainingPair(
        pair.chosen, pair.rejected, margin, record.weight, chosen_sign, rejected_sign, record.prompt
    )
