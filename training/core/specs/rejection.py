"""What a researcher may set for rejection sampling.

Knows names, units, limits and sources. Must not import torch: the web process reads it.
"""

from __future__ import annotations

from pydantic import Field

from training.core.specs.sampling import PromptsSpec, SamplingSpec, Temperature


class RejectionSampleSpec(SamplingSpec, PromptsSpec):
    """K responses a prompt; the best by the reward models becomes a target (section 3.2.3)."""

    samples_per_prompt: int = Field(4, ge=1, le=100, description="K.")
    temperatures: tuple[Temperature, ...] = Field(
        (1.0,),
        min_length=1,
        description="Temperatures the K samples cycle through; the paper found 1.2 to 1.3 best at K of 10 to 100.",
    )
