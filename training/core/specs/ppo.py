"""What a researcher may set for PPO.

Knows names, units, limits and sources. Must not import torch: the web process reads it.
"""

from __future__ import annotations

from pydantic import Field

from training.core.specs.sampling import PromptsSpec, SamplingSpec


class PpoSpec(SamplingSpec, PromptsSpec):
    """Proximal policy optimisation on the combined reward, on top of rejection sampling (section 3.2.3)."""

    iterations: int = Field(200, ge=1, le=100_000, description="Most iterations; the paper took 200 to 400.")
