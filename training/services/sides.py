"""The two sides of a live prompt: who answers on which, how, and what is kept of it.

Pages must learn none of this before the judgment is in, and never by way of the annotator's API.
"""

from __future__ import annotations

import secrets
from dataclasses import asdict, dataclass

from annotation.models import Batch
from annotation.services.ingest import NewResponse
from training.core.draws import draw, draw_seed, two_temperatures
from training.core.spec import RunKind
from training.core.specs.sampling import SampleSpec
from training.models import Iteration, LiveAttempt, LivePrompt, PolicyVersion


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """Who answers on one side of the screen, and how."""

    policy: PolicyVersion
    temperature: float
    top_p: float
    max_tokens: int
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one side wrote."""

    text: str
    latency_ms: int
    tokens: int | None = None
    finish_reason: str = ""


def draw_sides(prompt: LivePrompt, policies: list[PolicyVersion]) -> tuple[Side, Side]:
    """Two policies, or one twice, at two temperatures (section 3.2.1), on sides that a coin chose.

    All is drawn from one seed that is new with each attempt and never leaves the server: from a batch's seed and
    their own prompt's id annotators could work out who stands where.
    """
    seed, key = secrets.randbelow(2**31), str(prompt.uid)
    spec = _sampling(prompt.batch)
    first, second = two_temperatures(_two_or_more(spec.temperatures), seed=seed, key=key)
    one, other = (
        Side(
            policy=policy,
            temperature=temperature,
            top_p=spec.top_p,
            max_tokens=spec.max_new_tokens,
            seed=draw_seed(seed, key, number),
        )
        for number, (policy, temperature) in enumerate(((policies[0], first), (policies[-1], second)))
    )
    sides = (one, other) if draw(seed, key, "left") & 1 else (other, one)
    LiveAttempt.objects.create(
        prompt=prompt, number=prompt.attempt, seed=seed, sides=[provenance(side) for side in sides]
    )
    return sides


def _sampling(batch: Batch) -> SampleSpec:
    """As the batch's own pairs are sampled, where an iteration says how."""
    iteration = Iteration.objects.filter(batch=batch).first()
    return SampleSpec.model_validate(iteration.params.get(RunKind.SAMPLE, {}) if iteration else {})


def _two_or_more(temperatures: tuple[float, ...]) -> list[float]:
    different = list(dict.fromkeys(temperatures))
    return different if len(different) > 1 else list(SampleSpec().temperatures)


def response_of(side: Side, answer: Answer) -> NewResponse:
    return NewResponse(
        **asdict(answer),
        policy=side.policy.name,
        temperature=side.temperature,
        top_p=side.top_p,
        seed=side.seed,
    )


def provenance(side: Side, answer: Answer | None = None) -> dict[str, object]:
    """What LiveAttempt.sides holds of a side, before and after its answer."""
    asked = {
        "policy": side.policy.name,
        "temperature": side.temperature,
        "top_p": side.top_p,
        "seed": side.seed,
    }
    if answer is None:
        return asked
    told = {"latency_ms": answer.latency_ms, "tokens": answer.tokens, "finish_reason": answer.finish_reason}
    return {**asked, **told}
