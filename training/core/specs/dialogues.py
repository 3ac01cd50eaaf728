"""What a researcher may set for the runs that make dialogues to learn from.

Knows names, units, limits and sources. Must not import torch: the web process reads it.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from training.core.specs.sampling import PromptsSpec, SamplingSpec, Temperature


class GattSpec(SamplingSpec, PromptsSpec):
    """Ghost Attention: dialogues in which an instruction holds over all turns (section 3.3)."""

    safety_share: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Share of adversarial prompts. None by default: nothing here judges the answers, and playing a "
        "part is an attack of its own.",
    )
    turns: int = Field(4, ge=1, le=50, description="User turns of a dialogue.")
    shorter: bool = Field(
        True, description="Half of the dialogues get fewer turns, so that every turn is learnt."
    )
    temperature: Temperature = Field(1.0, description="Of every answer.")
    instructions: Literal["paper", "rules", "both"] = Field(
        "paper",
        description="paper: hobbies, languages and public figures. rules: such as a rule can check, for instance a "
        "last word.",
    )
    place: Literal["first_turn", "system"] = Field(
        "first_turn", description="Where the instruction stands in what is learnt."
    )
    short_share: float = Field(
        0.5, ge=0, le=1, description="Share of the instructions that are shortened in what is learnt."
    )
    user_turns: Literal["pool", "policy"] = Field(
        "pool", description="Who asks after the first turn: further prompts of the run, or the policy itself."
    )
    user_tokens: int = Field(
        64, ge=1, le=8192, description="Longest question that the policy writes, in tokens."
    )
    only_obeyed: bool = Field(
        False,
        description="Leave out a dialogue whose last answer is seen, by rule, to disobey. The paper kept them all.",
    )
    recall_dialogues: int = Field(
        8,
        ge=0,
        le=1000,
        description="Dialogues in which this policy's own recall of an instruction is measured; 0: not measured.",
    )
    recall_turns: int = Field(
        4, ge=1, le=20, description="Recall is measured at turns 1, 2, 4, 6 and 20, up to this one."
    )


class DistillSpec(SamplingSpec, PromptsSpec):
    """Context distillation: answers behind a safety pre-prompt, kept where the safety model prefers them (section
    4.2.4)."""

    safety_share: float = Field(1.0, ge=0, le=1, description="Share of adversarial prompts among them.")
    temperature: Temperature = Field(1.0, description="Of all answers, with a pre-prompt and without.")
    preprompts: Literal["generic", "category", "both"] = Field(
        "both",
        description="generic: the same for all prompts. category: by the prompt's risk; a prompt without one gets a "
        "generic one.",
    )
    preprompts_per_prompt: int = Field(
        2, ge=1, le=8, description="Pre-prompts that each prompt is answered behind; the best answer counts."
    )
    place: Literal["system", "first_turn"] = Field(
        "system", description="Where the pre-prompt stands while sampling. What is learnt has none."
    )


class SelfChatSpec(SamplingSpec, PromptsSpec):
    """Self-chat: the policy writes both sides of a dialogue that begins with a prompt of the pool."""

    safety_share: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Share of adversarial prompts. None by default: nothing here judges the answers.",
    )
    turns: int = Field(3, ge=1, le=50, description="User turns of a dialogue at the most.")
    temperature: Temperature = Field(1.0, description="Of both sides.")
    user_tokens: int = Field(64, ge=1, le=8192, description="Longest user turn in tokens.")
