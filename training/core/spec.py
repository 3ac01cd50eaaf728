"""The kinds of run and what a researcher may set for each.

Knows names, units, limits and sources; forms, commands and API are generated from it. Must not import torch:
the web process reads it.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from rewardmodel.core.spec import Spec, TokenBudget, TrainRewardModelSpec
from training.core.specs.dialogues import DistillSpec, GattSpec, SelfChatSpec
from training.core.specs.finetune import FinetuneSpec
from training.core.specs.ppo import PpoSpec
from training.core.specs.rejection import RejectionSampleSpec
from training.core.specs.sampling import SampleSpec


class RunKind(StrEnum):
    """Everything that computes with a model."""

    IMPORT_POLICY = "import_policy"
    SAMPLE = "sample"
    TRAIN_REWARD_MODEL = "train_reward_model"
    SCORE_PAIRS = "score_pairs"
    SCORE = "score"
    REJECTION_SAMPLE = "rejection_sample"
    FINETUNE = "finetune"
    COMPARE_REWARD_MODELS = "compare_reward_models"
    PPO = "ppo"
    GATT = "gatt"
    DISTILL = "distill"
    SELF_CHAT = "self_chat"


class ImportPolicySpec(Spec):
    """Bring a model into the house as safetensors with a manifest."""

    source: str = Field(
        description="tiny (a random two-layer Llama for tests), toy (a small Llama that learns the toy world's "
        "language from scratch, in a minute), smollm2 (the packaged model), the path of a "
        "Hugging Face directory or GGUF file, or a Hub id where there is a network."
    )
    template: Literal["model", "chatml", "llama2"] = Field(
        "model", description="Chat template; model: the model's own."
    )


class ScorePairsSpec(Spec):
    """Score both responses of each pair of a batch with reward models, before people judge them or after."""

    tokens_per_batch: TokenBudget = 0
    reorder: bool = Field(
        True,
        description="Put the pairs that the models doubt first in the queue, those on which the two models prefer "
        "different responses before all others. The order of a sealed batch stays.",
    )


class ScoreSpec(Spec):
    """Rewards of given responses, for whoever asked through the API."""

    tokens_per_batch: TokenBudget = 0


class CompareRewardModelsSpec(Spec):
    """Score the test pairs of a snapshot with two reward models of one focus, to see whether one may take the place of
    the other."""

    tokens_per_batch: TokenBudget = 0


SPECS: Final[Mapping[RunKind, type[Spec]]] = MappingProxyType(
    {
        RunKind.IMPORT_POLICY: ImportPolicySpec,
        RunKind.SAMPLE: SampleSpec,
        RunKind.TRAIN_REWARD_MODEL: TrainRewardModelSpec,
        RunKind.SCORE_PAIRS: ScorePairsSpec,
        RunKind.SCORE: ScoreSpec,
        RunKind.REJECTION_SAMPLE: RejectionSampleSpec,
        RunKind.FINETUNE: FinetuneSpec,
        RunKind.COMPARE_REWARD_MODELS: CompareRewardModelsSpec,
        RunKind.PPO: PpoSpec,
        RunKind.GATT: GattSpec,
        RunKind.DISTILL: DistillSpec,
        RunKind.SELF_CHAT: SelfChatSpec,
    }
)


class RunFile(BaseModel):
    """The spec.json that a run's process reads: everything it needs, and all of it.

    `inputs` holds absolute paths and names resolved by the service that queued the run; each kind documents
    its own in the module that computes it.
    """

    model_config = ConfigDict(extra="forbid")

    kind: RunKind
    seed: int = Field(ge=0, lt=2**31)
    device: Literal["auto", "cpu", "cuda"] = "auto"
    code_version: str
    params: dict[str, Any]
    inputs: dict[str, Any]

    def spec(self) -> Spec:
        return SPECS[self.kind].model_validate(self.params)
