"""The kinds of run and what a researcher may set for each.

Knows names, units, limits and sources; forms, commands and API are generated from it. Must not import torch:
the web process reads it.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from rewardmodel.core.spec import Spec, TokenBudget, TrainRewardModelSpec

Temperature = Annotated[float, Field(ge=0, le=10)]  # 0 is greedy


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


class ImportPolicySpec(Spec):
    """Bring a model into the house as safetensors with a manifest."""

    source: str = Field(
        description="tiny (a random two-layer Llama for tests), smollm2 (the packaged model), the path of a "
        "Hugging Face directory or GGUF file, or a Hub id where there is a network."
    )
    template: Literal["model", "chatml", "llama2"] = Field(
        "model", description="Chat template; model: the model's own."
    )


class SamplingSpec(Spec):
    """How responses are drawn."""

    max_new_tokens: int = Field(128, ge=1, le=8192, description="Longest response in tokens.")
    top_p: float = Field(
        1.0, gt=0, le=1, description="Nucleus: smallest set of tokens with this probability."
    )
    tokens_per_batch: int = Field(
        4096,
        ge=64,
        description="Token budget of one generated batch, prompts and longest responses. On a CPU more gains "
        "nothing; a GPU can take more.",
    )


class PromptsSpec(Spec):
    """Which prompts of the pool are used."""

    prompts: int = Field(32, ge=1, description="How many prompts of the pool to use.")
    safety_share: float = Field(0.25, ge=0, le=1, description="Share of adversarial prompts among them.")


class SampleSpec(SamplingSpec, PromptsSpec):
    """Two responses a dialogue, for annotators to compare (section 3.2.1)."""

    temperatures: tuple[Temperature, ...] = Field(
        (0.7, 1.0),
        min_length=1,
        description="Temperatures to draw from; the two sides of a pair get two different ones.",
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


class RejectionSampleSpec(SamplingSpec, PromptsSpec):
    """K responses a prompt; the best by the reward models becomes a target (section 3.2.3)."""

    samples_per_prompt: int = Field(4, ge=1, le=100, description="K.")
    temperatures: tuple[Temperature, ...] = Field(
        (1.0,),
        min_length=1,
        description="Temperatures the K samples cycle through; the paper found 1.2 to 1.3 best at K of 10 to 100.",
    )


class FinetuneSpec(Spec):
    """Supervised fine-tuning on the winners (sections 3.1 and 3.2.3)."""

    recipe: Literal["lora", "full"] = Field(
        "lora", description="What learns: low-rank adapters, or everything."
    )
    epochs: int = Field(2, ge=1, le=20, description="Passes over the targets.")
    learning_rate: float = Field(
        2e-4,
        gt=0,
        description="Peak of the cosine schedule, which falls to 10 %. Adapters want some ten times the paper's "
        "2e-5, which is for full.",
    )
    examples_per_step: int = Field(
        16,
        ge=1,
        description="Examples a step, reached by accumulation. The paper's 64 suit its thousands of targets: fifty "
        "would make one step an epoch.",
    )
    weight_decay: float = Field(0.1, ge=0, description="AdamW's.")
    max_length: int = Field(1024, ge=16, le=32768, description="Longest row in tokens.")
    tokens_per_batch: int = Field(
        1024,
        ge=64,
        description="Token budget of one forward pass. On a CPU 4096 takes twice the time and three times the memory.",
    )
    lora_rank: int = Field(8, ge=1, le=256, description="Rank of the adapters.")
    every_iteration: bool = Field(
        True, description="Use the winners of all earlier iterations too (section 3.2.3)."
    )


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
