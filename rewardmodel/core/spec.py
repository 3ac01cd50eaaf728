"""What a researcher may set when training a reward model, with the paper's numbers as defaults.

Knows names, units, limits and sources; forms, commands and API are generated from it. Must not import torch:
the web process reads it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from annotation.core.grades import Focus, MarginTable


class Recipe(StrEnum):
    """How much of the backbone learns."""

    PROBE = "probe"  # nothing: a convex head on frozen features
    LORA = "lora"  # low-rank adapters and the head
    FULL = "full"  # everything


TokenBudget = Annotated[
    int,
    Field(ge=0, description="Distinct tokens of one forward pass; 0: what suits the device and the work."),
]


class Spec(BaseModel):
    """Parameters of one kind of run. Unknown names are an error, so that a typo is never ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class TrainRewardModelSpec(Spec):
    """Train one reward model on a snapshot (section 3.2.2)."""

    focus: Focus = Field(description="Which of the two reward models to train.")
    recipe: Recipe = Field(
        Recipe.PROBE,
        description="probe: a head on frozen features, minutes on a CPU; lora and full learn more.",
    )
    margin_table: MarginTable = Field(
        MarginTable.SMALL, description="Margins m(r) of Eq. 2 by grade (Table 27): small is 1, 2/3, 1/3, 0."
    )
    safety_loss_weight: float = Field(
        1.0, ge=0, description="Weight of the safety auxiliary loss on labelled responses (Table 29)."
    )
    centring_weight: float = Field(
        0.0,
        ge=0,
        description="Weight of (r_c + r_r)² a pair, which keeps rewards around 0 (Eisenstein et al. 2023); 0.01 is "
        "usual, 0 is off.",
    )
    max_length: int = Field(
        1024,
        ge=16,
        le=32768,
        description="Longest row in tokens; a prompt may use half and loses its oldest turns beyond that.",
    )
    layer_fraction: float = Field(
        0.6,
        gt=0,
        le=1,
        description="probe: height of the layer whose features are read; layers above are not computed.",
    )
    l2: float = Field(
        0.3, gt=0, description="probe: ridge penalty, 1 / (2 s²) where rewards are expected to spread by s."
    )
    epochs: int = Field(1, ge=1, le=10, description="lora, full: passes over the data; the paper found 1.")
    learning_rate: float = Field(
        1e-5, gt=0, description="lora, full: peak of the cosine schedule, which falls to 10 %."
    )
    pairs_per_step: int = Field(512, ge=1, description="lora, full: pairs a step, reached by accumulation.")
    tokens_per_batch: TokenBudget = 0
    gradient_checkpointing: Literal["auto", "on", "off"] = Field(
        "auto",
        description="lora, full: compute activations again in the backward pass, which takes a third more time and "
        "much less memory; auto: on a GPU.",
    )
    lora_rank: int = Field(8, ge=1, le=256, description="lora: rank of the adapters.")
    quantization: Literal["none", "4bit"] = Field(
        "none",
        description="lora: the frozen backbone in 4 bits (QLoRA); wants a GPU and the package bitsandbytes.",
    )
