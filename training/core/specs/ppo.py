"""What a researcher may set for PPO.

Knows names, units, limits and sources. Must not import torch: the web process reads it.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from rewardmodel.core.spec import TokenBudget
from training.core.specs.sampling import PromptsSpec


class PpoSpec(PromptsSpec):
    """Proximal policy optimisation on the combined reward, on top of rejection sampling (section 3.2.3)."""

    recipe: Literal["lora", "full"] = Field(
        "lora",
        description="What learns: low-rank adapters, or everything, which needs a second copy of the policy.",
    )
    prompts: int = Field(
        1024, ge=1, description="How many prompts of the pool to use, the held-out ones among them."
    )
    held_out: int = Field(
        64,
        ge=0,
        description="Prompts put aside to see when to stop, a quarter of all at most; 0: no early stop, and the last "
        "iteration's policy is kept.",
    )
    iterations: int = Field(200, ge=1, le=100_000, description="Most iterations; the paper took 200 to 400.")
    prompts_per_iteration: int = Field(
        512, ge=1, description="Answers sampled and learnt from in an iteration; the paper's 512."
    )
    mini_batch: int = Field(64, ge=1, description="Answers of one gradient step; the paper's 64.")
    epochs: int = Field(1, ge=1, le=20, description="Passes over an iteration's answers; the paper's one.")
    max_new_tokens: int = Field(128, ge=1, le=8192, description="Longest answer in tokens.")
    learning_rate: float = Field(
        1e-5,
        gt=0,
        description="Constant. Adapters want some ten times the paper's 1e-6, which is for full and for billions of "
        "parameters; a model of a million wants 1e-4 to 1e-3.",
    )
    value_learning_rate: float = Field(
        1e-3, gt=0, description="Of the value head alone, which begins at nothing and learns a moving target."
    )
    value_weight: float = Field(0.1, ge=0, description="Weight of the value loss beside the policy's.")
    weight_decay: float = Field(0.1, ge=0, description="AdamW's.")
    clip: float = Field(0.2, gt=0, lt=1, description="How far a token's probability may move in one batch.")
    kl_weight: float = Field(
        0.01,
        ge=0,
        description="β of the penalty for leaving the start; the paper's 0.01 (7B, 13B), 0.005 for larger.",
    )
    kl_limit: float = Field(
        50.0, gt=0, description="The run stops where an answer's mean KL to the start is beyond, in nats."
    )
    discount: float = Field(
        1.0, gt=0, le=1, description="Gamma of the advantages; 1: a late reward counts in full."
    )
    gae_decay: float = Field(
        0.95, ge=0, le=1, description="Lambda of the advantages; 1: no trust in the critic."
    )
    shift_rewards: bool = Field(
        True,
        description="Whitened rewards have mean 0; off: their scale alone is normed, and their mean stays.",
    )
    cut_penalty: float = Field(
        0.0,
        ge=0,
        description="Taken off the reward, before whitening, of an answer that was cut at its longest.",
    )
    measure_every: int = Field(
        10, ge=1, description="Iterations between two measurements on the held-out prompts."
    )
    patience: int = Field(
        5, ge=1, description="Measurements without a gain beyond the 95 % interval after which the run stops."
    )
    lora_rank: int = Field(8, ge=1, le=256, description="Rank of the adapters.")
    sampled_tokens_per_batch: TokenBudget = Field(
        0, description="Tokens of one sampled batch, prompts and longest answers; 0: what suits the device."
    )
    tokens_per_batch: TokenBudget = 0
    reward_device: Literal["same", "cpu"] = Field(
        "same",
        description="Where the reward models are: beside the policy, or on the CPU to spare the GPU's memory.",
    )
