"""The product's own losses fitted to made-up worlds: the convex head, and a tiny network trained whole.

Knows worlds, the probe and the tuning. Must not know how often they are repeated or what is compared.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn

from annotation.core.grades import MARGINS, MarginTable
from bench.experiments.folds import FloatArray, IntArray
from bench.experiments.probes import bare_preferences
from bench.experiments.worlds import GRADES, Graded, Labelled
from rewardmodel.core.backbone import PolicyRef, backbone_of, load_causal_lm
from rewardmodel.core.network import Pooling, RewardNetwork
from rewardmodel.core.probe import LinearHead, Preferences, fit
from rewardmodel.core.report import Silent
from rewardmodel.core.rows import Row
from rewardmodel.core.scorer import score_rows
from rewardmodel.core.tiny import END_ID, PAD_ID, TURN_ID, build_tiny
from rewardmodel.core.tuning import TrainingPair, TuningPlan, tune

PROMPT: Final = (TURN_ID, 255, 254)  # the same for all: what is asked plays no part in these worlds
TOKENS_PER_BATCH: Final = 4096


def margins_of(grades: IntArray, table: MarginTable) -> FloatArray:
    """m(r) of Eq. 2 for each pair, shape [pairs]."""
    return np.array([MARGINS[table][grade] for grade in GRADES])[grades]


def fit_margin(features: FloatArray, data: Graded, table: MarginTable, l2: float) -> LinearHead:
    """The convex head on the first rows of `features`, those of `data`."""
    bare = bare_preferences(data.pairs)
    wanted = Preferences(
        bare.chosen,
        bare.rejected,
        torch.from_numpy(margins_of(data.grades, table)),
        bare.weights,
        bare.labelled,
        bare.signs,
    )
    rows = torch.from_numpy(features[: 2 * data.pairs])
    return fit(rows, wanted, safety_loss_weight=0.0, l2=l2, report=Silent())


def fit_safety(features: FloatArray, data: Labelled, weight: float, l2: float) -> LinearHead:
    """The convex head on preferences and on every response's label."""
    bare = bare_preferences(data.pairs)
    wanted = Preferences(
        bare.chosen,
        bare.rejected,
        bare.margins,
        bare.weights,
        torch.arange(2 * data.pairs),
        torch.from_numpy(data.signs.astype(np.float64)),
    )
    rows = torch.from_numpy(features[: 2 * data.pairs])
    return fit(rows, wanted, safety_loss_weight=weight, l2=l2, report=Silent())


def rewards_of(head: LinearHead, features: FloatArray) -> FloatArray:
    """Rewards, shape [rows]."""
    rewards: Tensor = torch.from_numpy(features) @ head.weight + head.bias
    return np.asarray(rewards, dtype=np.float64)


def tuned_rewards(
    learnt: IntArray, tried: IntArray, margins: FloatArray, signs: IntArray, plan: TuningPlan
) -> FloatArray:
    """Train a tiny network whole on word rows `learnt` and score the rows `tried`.

    Args:
        learnt: words, shape [2 * pairs, LENGTH], chosen and rejected in turn.
        tried: words, shape [rows, LENGTH].
        margins: shape [pairs].
        signs: +1 safe, -1 unsafe, 0 without a label, shape [2 * pairs].

    Returns:
        Rewards of `tried`, shape [rows].
    """
    rows = _rows(learnt)
    pairs = [
        TrainingPair(
            rows[2 * n], rows[2 * n + 1], float(margins[n]), 1.0, int(signs[2 * n]), int(signs[2 * n + 1]), n
        )
        for n in range(len(margins))
    ]
    with tempfile.TemporaryDirectory() as folder:
        network = _network(Path(folder) / "tiny", plan.seed)
        tune(network, pairs, plan, work=Path(folder), report=Silent())
        return np.asarray(score_rows(network, _rows(tried), TOKENS_PER_BATCH), dtype=np.float64)


def _network(folder: Path, seed: int) -> RewardNetwork:
    build_tiny(folder, seed)
    torch.manual_seed(seed)
    backbone = backbone_of(load_causal_lm(PolicyRef("tiny", folder, None), torch.device("cpu")))
    width = int(backbone.config.hidden_size)
    network = RewardNetwork(backbone, width=width, pooling=Pooling.LAST_AND_MEAN, pad=PAD_ID)
    nn.init.zeros_(network.head.weight)
    nn.init.zeros_(network.head.bias)
    return network


def _rows(words: IntArray) -> Sequence[Row]:
    """Each word is one token of the tiny vocabulary, whose first 256 ids are the bytes."""
    return [Row((*PROMPT, *(int(word) for word in one), END_ID), len(PROMPT)) for one in words]
