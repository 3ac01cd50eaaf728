"""Targets turned into rows of tokens with the spans to learn, and the few of them that are only looked at.

Knows templates' rows and lengths. Must not know models or losses.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np

from annotation.core.records import Message
from rewardmodel.core.rows import Row, RowEncoder
from training.core.packing import Example
from training.core.targets import Target

HELD_SHARE: Final = 0.05  # of the examples
HELD_FROM: Final = 200  # examples; of fewer all are learnt
HELD_MOST: Final = 512  # examples; more would cost time and tell little


def examples_of(target: Target, encoder: RowEncoder) -> list[Example]:
    """What to learn of a target; nothing where no row of it fits.

    Each learnt answer is encoded as it would be sampled: behind its own prompt, which loses its oldest turns where it
    is too long. Answers whose rows go on from one another become one example. The end of a turn is learnt too, except
    after a response that was cut: learning to stop there would be learning to stop in the middle of a sentence.
    """
    spoken = [*target.messages, Message(role="assistant", content=target.text)]
    answers = [number for number, turn in enumerate(spoken) if turn["role"] == "assistant"]
    found: list[Example] = []
    for number in answers if target.every else answers[-1:]:
        row = encoder.rows(spoken[:number], [spoken[number]["content"]])[0]
        cut = target.cut and number == len(spoken) - 1
        span = (row.start, len(row.tokens) - cut)
        if len(row.tokens) <= encoder.max_length and span[0] < span[1]:
            found = _with(found, row, span, _beginning(spoken))
    return found


def _with(found: Sequence[Example], row: Row, span: tuple[int, int], prompt: str) -> list[Example]:
    """The examples and one more row, which takes the last one in where it goes on from it."""
    if (
        found
        and row.tokens[: len(found[-1].tokens)] == found[-1].tokens
        and span[0] >= found[-1].spans[-1][1]
    ):
        return [*found[:-1], Example(row.tokens, (*found[-1].spans, span), prompt)]
    return [*found, Example(row.tokens, (span,), prompt)]


def put_aside(examples: Sequence[Example], seed: int) -> list[int]:
    """Numbers of the examples not to learn from, ascending: 5 % from 200 examples on, whole prompts, drawn by `seed`.

    An example whose prompt was learnt from would hide what is to be found. Hence few prompts with many examples each
    give fewer, or none.
    """
    room = min(HELD_MOST, int(HELD_SHARE * len(examples))) if len(examples) >= HELD_FROM else 0
    groups = list(members_of(example.prompt for example in examples).values())
    taken: list[int] = []
    for index in np.random.default_rng([seed, 0x5EED]).permutation(len(groups)).tolist():
        if len(taken) + len(groups[index]) <= room:
            taken += groups[index]
    return sorted(taken)


def members_of(prompts: Iterable[str]) -> dict[str, list[int]]:
    """For each prompt, in order of first appearance, the numbers at which it stands."""
    members: dict[str, list[int]] = {}
    for number, prompt in enumerate(prompts):
        members.setdefault(prompt, []).append(number)
    return members


def _beginning(messages: Sequence[Message]) -> str:
    """What the user said first."""
    return next((turn["content"] for turn in messages if turn["role"] == "user"), "")
