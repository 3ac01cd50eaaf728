"""Drawing prompts from the pool, the same ones for the same seed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import QuerySet
from django.db.models.functions import Coalesce

from annotation.core import curriculum
from annotation.core.curriculum import Candidate, Draw, Mix
from annotation.core.grades import Focus
from annotation.core.records import Message, canonical_json, dialogue_key
from annotation.models import Prompt
from rewardmodel.core.files import write_atomically
from training.models import Run


@dataclass(frozen=True, slots=True)
class PoolDialogue:
    """A dialogue of one turn, opened by a prompt of the pool; `prompt` is the prompt's key."""

    key: str
    prompt: str
    messages: list[Message]
    focus: Focus


def draw_prompts(*, count: int, safety_share: float, seed: int, mix: Mix | None = None) -> list[str]:
    """Keys of up to `count` prompts of the pool, about `safety_share` of them adversarial ones.

    With a `mix` the prompts are drawn by it, and its own share of adversarial ones holds. Prompts held out for
    testing are never drawn, nor what resembles them: what is fed back to training must not touch them. The order is a
    hash of seed and key, so that growing the pool does not reshuffle it.
    """
    if mix is not None:
        return list(draw_mix(count=count, mix=mix, seed=seed).keys)
    safety = _draw(Focus.SAFETY, round(count * safety_share), seed)
    helpful = _draw(Focus.HELPFULNESS, count - len(safety), seed)
    return helpful + safety


def draw_mix(*, count: int, mix: Mix, seed: int) -> Draw:
    """Keys of up to `count` prompts of the pool in the shares of the mix, and what it lacked."""
    columns = _pool().values_list(
        "key", Coalesce("cluster__key", "key"), "focus", "difficulty", "category", "source", "turns"
    )
    candidates = (
        Candidate(key, family, focus == Focus.SAFETY, difficulty, topic, source, turns)
        for key, family, focus, difficulty, topic, source, turns in columns.iterator()
    )
    return curriculum.draw(candidates, mix, count=count, seed=seed)


def _pool() -> QuerySet[Prompt]:
    return Prompt.objects.filter(in_pool=True, split__in=[Prompt.Split.UNDRAWN, Prompt.Split.TRAIN])


def _draw(focus: Focus, count: int, seed: int) -> list[str]:
    keys = _pool().filter(focus=focus).values_list("key", flat=True)
    ranked = sorted(keys, key=lambda key: hashlib.sha256(f"{seed}:{key}".encode()).digest())
    return ranked[:count]


def dialogues_of(keys: Sequence[str]) -> list[PoolDialogue]:
    """The opening dialogue of each prompt, in the order of `keys`."""
    prompts = {p.key: p for p in Prompt.objects.filter(key__in=list(keys))}
    return [_opening(prompts[key]) for key in keys if key in prompts]


def _opening(prompt: Prompt) -> PoolDialogue:
    messages: list[Message] = [{"role": "user", "content": prompt.text}]
    return PoolDialogue(dialogue_key(messages), prompt.key, messages, Focus(prompt.focus))


def write_prompts(run: Run) -> str:
    """The prompts that a run was given, as lines of {"dialogue", "messages", "focus"}; returns the file's path."""
    lines = (
        canonical_json({"dialogue": d.key, "messages": d.messages, "focus": d.focus})
        for d in dialogues_of(run.inputs["prompts"])
    )
    path = run.folder / "prompts.jsonl"
    write_atomically(path, "".join(line + "\n" for line in lines))
    return str(path)
