"""What a researcher may set for the runs that make dialogues to learn from.

Knows names, units, limits and sources. Must not import torch: the web process reads it.
"""

from __future__ import annotations

from pydantic import Field

from training.core.specs.sampling import PromptsSpec, SamplingSpec


class GattSpec(SamplingSpec, PromptsSpec):
    """Ghost Attention: dialogues in which an instruction holds over all turns (section 3.3)."""

    turns: int = Field(4, ge=1, le=50, description="User turns of a dialogue.")


class DistillSpec(SamplingSpec, PromptsSpec):
    """Context distillation: answers behind a safety pre-prompt, kept where the safety model prefers them (section
    4.2.4)."""

    safety_share: float = Field(1.0, ge=0, le=1, description="Share of adversarial prompts among them.")


class SelfChatSpec(SamplingSpec, PromptsSpec):
    """Self-chat: the policy writes both sides of a dialogue that begins with a prompt of the pool."""

    turns: int = Field(3, ge=1, le=50, description="User turns of a dialogue.")
