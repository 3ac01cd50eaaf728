"""Drawing prompts from the pool, the same ones for the same seed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from annotation.core.grades import Focus
from annotation.core.records import Message, dialogue_key
from annotation.models import Prompt


@dataclass(frozen=True, slots=True)
class PoolDialogue:
    """A dialogue of one turn, opened by a prompt of the pool."""

    key: str
    messages: list[Message]
    focus: Focus


def draw_prompts(*, count: int, safety_share: float, seed: int) -> list[str]:
    """Keys of up to `count` prompts of the pool, about `safety_share` of them adversarial ones.

    Prompts held out for testing are never drawn: what is fed back to training must not touch them. The order
    is a hash of seed and key, so that growing the pool does not reshuffle it.
    """
    safety = _draw(Focus.SAFETY, round(count * safety_share), seed)
    helpful = _draw(Focus.HELPFULNESS, count - len(safety), seed)
    return helpful + safety


def _draw(focus: Focus, count: int, seed: int) -> list[str]:
    keys = (
        Prompt.objects.filter(in_pool=True, focus=focus)
        .exclude(split=Prompt.Split.TEST)
        .values_list("key", flat=True)
    )
    ranked = sorted(keys, key=lambda key: hashlib.sha256(f"{seed}:{key}".encode()).digest())
    return ranked[:count]


def dialogues_of(keys: Sequence[str]) -> list[PoolDialogue]:
    """The opening dialogue of each prompt, in the order of `keys`."""
    prompts = {p.key: p for p in Prompt.objects.filter(key__in=list(keys))}
    return [_opening(prompts[key]) for key in keys if key in prompts]


def _opening(prompt: Prompt) -> PoolDialogue:
    messages: list[Message] = [{"role": "user", "content": prompt.text}]
    return PoolDialogue(dialogue_key(messages), messages, Focus(prompt.focus))
