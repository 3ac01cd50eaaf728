"""How responses are drawn, and which prompts they answer.

Knows names, units, limits and sources. Must not import torch: the web process reads it.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from rewardmodel.core.spec import Spec

Temperature = Annotated[float, Field(ge=0, le=10)]  # 0 is greedy


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

    backend: Literal["local", "server", "vllm"] = Field(
        "local",
        description="Where responses are drawn: local, in the run's own process; server, by the policy's response "
        "server; vllm, by vLLM in the run's own process, where it is installed.",
    )
    at_once: int = Field(
        8, ge=1, le=1024, description="Backend server: how many requests it is sent at the same time."
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
