"""What a researcher may set for rejection sampling.

Knows names, units, limits and sources. Must not import torch: the web process reads it.
"""

from __future__ import annotations

from typing import Final

from pydantic import Field, field_validator

from training.core.specs.sampling import PromptsSpec, SamplingSpec, Temperature

STEP: Final = 0.1  # between the temperatures that are tried round the last round's best
LOWEST: Final = 0.1  # sampling, however cool; 0 would be greedy
HIGHEST: Final = 10.0


class RejectionSampleSpec(SamplingSpec, PromptsSpec):
    """K responses a prompt; the best by the reward models becomes a target (section 3.2.3)."""

    samples_per_prompt: int = Field(
        4, ge=1, le=100, description="K: samples of a prompt at each temperature. Temperature 0 draws one."
    )
    temperatures: tuple[Temperature, ...] = Field(
        (1.0,),
        min_length=1,
        description="Temperatures that are tried, K samples at each, so three take three times the work; the paper "
        "found 1.2 to 1.3 best at K of 10 to 100 (Fig. 8).",
    )
    retune: bool = Field(
        False,
        description="Take the best temperature of the newest earlier round and its neighbours 0.1 below and above "
        "in place of the temperatures here. A first round has nothing to go by and uses these.",
    )
    bank: bool = Field(
        True,
        description="Score the winners of all earlier iterations with these reward models and keep the best of all "
        "rounds for each dialogue (section 3.2.3).",
    )
    most_alike: int = Field(
        0,
        ge=0,
        description="Of winners of different prompts that read nearly the same, as refusals do, keep so many of the "
        "best; 0 keeps and counts them all.",
    )
    workers: int = Field(
        1,
        ge=1,
        le=64,
        description="Processes that share the run: on GPUs one a device, on a CPU with its threads divided.",
    )

    @field_validator("temperatures")
    @classmethod
    def _each_once(cls, temperatures: tuple[float, ...]) -> tuple[float, ...]:
        if len(set(temperatures)) < len(temperatures):
            raise ValueError("a temperature occurs twice; name each once")
        return temperatures


def around(best: float) -> list[float]:
    """The temperatures of the round after one whose best was `best`: it and its neighbours, each once, ascending."""
    tried = {round(min(HIGHEST, max(LOWEST, best + step)), 6) for step in (-STEP, 0.0, STEP)}
    return sorted(tried)
