"""A tiny network and encoded pairs for it, as training by gradient wants them."""

from __future__ import annotations

from typing import Any

import torch

from rewardmodel.core.artifact import build_network
from rewardmodel.core.backbone import PolicyRef, load_tokenizer
from rewardmodel.core.network import RewardNetwork
from rewardmodel.core.rows import RowEncoder
from rewardmodel.core.spec import TrainRewardModelSpec
from rewardmodel.core.targets import training_pair_of
from rewardmodel.core.tuning import TrainingPair, TuningPlan
from rewardmodel.tests.examples import make_record


def spec_of(**params: Any) -> TrainRewardModelSpec:
    return TrainRewardModelSpec.model_validate({"focus": "helpfulness", "max_length": 256, **params})


def tiny_network(tiny: PolicyRef, recipe: str = "full", **params: Any) -> RewardNetwork:
    spec = spec_of(recipe=recipe, **params)
    return build_network(tiny, spec, pad=256, device=torch.device("cpu"), seed=0)


def training_pairs(tiny: PolicyRef, count: int, **record: Any) -> list[TrainingPair]:
    """`count` pairs, a friendly answer preferred to an unfriendly one."""
    encoder = RowEncoder(load_tokenizer(tiny), 256)
    found = []
    for number in range(count):
        pair = encoder.pair(make_record(number, **record))
        assert pair is not None
        found.append(training_pair_of(pair, spec_of()))
    return found


def plan_of(**changes: Any) -> TuningPlan:
    """One epoch in steps of four pairs."""
    fields: dict[str, Any] = {
        "epochs": 1,
        "learning_rate": 0.003,
        "pairs_per_step": 4,
        "tokens_per_batch": 256,
    }
    return TuningPlan(**{**fields, "safety_loss_weight": 1.0, "seed": 0, **changes})


def weights_of(network: RewardNetwork) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in network.parameters()])
