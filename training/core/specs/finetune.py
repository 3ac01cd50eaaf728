"""What a researcher may set for supervised fine-tuning.

Knows names, units, limits and sources. Must not import torch: the web process reads it.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from rewardmodel.core.spec import Spec, TokenBudget


class FinetuneSpec(Spec):
    """Supervised fine-tuning on winners, dialogues that runs made, a snapshot's chosen responses or conversations
    (sections 3.1 and 3.2.3)."""

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
    tokens_per_batch: TokenBudget = 0
    gradient_checkpointing: Literal["auto", "on", "off"] = Field(
        "auto",
        description="Compute activations again in the backward pass, which takes a third more time and much less "
        "memory; auto: on a GPU.",
    )
    lora_rank: int = Field(8, ge=1, le=256, description="Rank of the adapters.")
    every_iteration: bool = Field(
        True, description="Use the winners of all earlier iterations too (section 3.2.3)."
    )
