"""Raw rewards of responses from a stored reward model.

Knows how a reward model's directory is checked and opened, and how candidates share their prompt. Must not
know what the rewards are used for: no sigmoid, no whitening, no choice between two models.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch

from annotation.core.records import Message
from rewardmodel.core.artifact import backbone_identity, load_network
from rewardmodel.core.backbone import PolicyRef, load_tokenizer, pick_device
from rewardmodel.core.files import verify_manifest
from rewardmodel.core.layout import plan_batches, token_budget
from rewardmodel.core.network import RewardNetwork
from rewardmodel.core.report import RunFailedError
from rewardmodel.core.rows import Row, RowEncoder
from rewardmodel.core.spec import TrainRewardModelSpec

Group = tuple[Sequence[Message], Sequence[str]]


class Scorer:
    """Scores (messages, responses) with one reward model, encoded as in its training."""

    def __init__(self, network: RewardNetwork, encoder: RowEncoder, *, tokens_per_batch: int) -> None:
        self._network = network
        self._encoder = encoder
        self._tokens_per_batch = tokens_per_batch

    def score(self, groups: Sequence[Group]) -> list[list[float]]:
        """One list of rewards a group, one reward a response, in order. Unbounded; higher is better.

        All responses of a prompt share its computation. A response longer than what training allowed is
        read whole; a score does not depend on the other responses of its group, but for rounding.
        """
        return self.rewards([self.encode(group) for group in groups])

    def encode(self, group: Group) -> list[Row]:
        """What the network reads: one row a response."""
        return self._encoder.rows(*group)

    def rewards(self, groups: Sequence[Sequence[Row]]) -> list[list[float]]:
        """As `score`, of what is encoded."""
        rewards = iter(
            score_rows(self._network, [row for group in groups for row in group], self._tokens_per_batch)
        )
        return [[next(rewards) for _ in group] for group in groups]


def score_rows(network: RewardNetwork, rows: Sequence[Row], tokens_per_batch: int) -> list[float]:
    """Rewards of rows, in their order, without gradients."""
    rewards = [0.0] * len(rows)
    with torch.inference_mode():
        for batch in plan_batches([[row.tokens] for row in rows], tokens_per_batch=tokens_per_batch):
            read = network(batch, [rows[number].start for number in batch.rows])
            for number, reward in zip(batch.rows, read.tolist(), strict=True):
                rewards[number] = reward
    return rewards


def load(
    reference: Mapping[str, Any],
    *,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    tokens_per_batch: int | None = None,
) -> Scorer:
    """Open a reward model: `{"name", "path", "backbone": policy reference}`.

    `tokens_per_batch` bounds one forward pass; by default it is what the training was told, or suits the device.

    Raises:
        RunFailedError: if a file is missing or changed, or the backbone is not the one it was trained on.
    """
    directory = Path(reference["path"])
    ref = PolicyRef.from_json(reference["backbone"])
    try:
        manifest = verify_manifest(directory)
        tokenizer = load_tokenizer(ref)
        if manifest.get("kind") != "reward_model":
            raise RunFailedError(f"{reference['name']} is not a reward model.")
        identity = backbone_identity(ref, tokenizer)
        for field, what in (("sha256", "weights"), ("tokenizer_sha256", "a tokenizer")):
            if manifest["backbone"][field] != identity[field]:
                raise RunFailedError(
                    f"{reference['name']} was trained on {manifest['backbone']['name']}; "
                    f"{ref.name} has {what} that differ from it."
                )
        where = pick_device(device)
        network = load_network(directory, manifest, ref, pad=int(tokenizer.pad_token_id), device=where)
    except (OSError, ValueError) as error:  # what the directory or the backbone's files say no to
        raise RunFailedError(f"{reference['name']} cannot be opened: {error}.") from error
    spec = TrainRewardModelSpec.model_validate(manifest["params"])
    encoder = RowEncoder(tokenizer, spec.max_length)
    budget = token_budget(tokens_per_batch or spec.tokens_per_batch, where.type, gradients=False)
    return Scorer(network, encoder, tokens_per_batch=budget)
