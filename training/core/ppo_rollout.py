"""Prompts answered by the policy that PPO is teaching, as it is in memory.

Knows prompts and sampling by token ids. Must not know rewards, gradients or checkpoints.

The ids that were drawn are kept and never encoded again from text: another cut into tokens would be another answer.
ln π of an answer is read afterwards, in a pass like the one in which it is learnt, so that the first ratio is 1.
Answers are drawn at temperature 1 and without a nucleus: the distribution that is sampled must be the one that is
improved.

What was simplified: one process, one device; a prompt that occurs twice in a batch is read twice while sampling.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel, PreTrainedTokenizerBase

from annotation.core.grades import Focus
from annotation.core.records import Message
from rewardmodel.core.backbone import stop_token_ids
from rewardmodel.core.report import RunFailedError
from rewardmodel.core.rows import Row
from training.core.batching import Ids, pad_left, positions_of
from training.core.chunks import read_lines
from training.core.draws import draw
from training.core.value_head import ActorCritic

FIELDS: Final = frozenset({"dialogue", "messages", "focus"})
LEAST_HELD: Final = 2  # of one prompt nobody knows the spread


@dataclass(frozen=True, slots=True)
class Prompt:
    """A dialogue to be answered, as the policy reads it: `ids` up to the opening of the assistant's turn."""

    dialogue: str
    messages: tuple[Message, ...]
    focus: Focus
    ids: Ids


@dataclass(frozen=True, slots=True)
class Answer:
    """What was drawn. `ids` hold at least one token, the last of them the end of the turn where `complete`."""

    prompt: Prompt
    ids: Ids
    text: str
    complete: bool

    @property
    def row(self) -> Row:
        return Row((*self.prompt.ids, *self.ids), len(self.prompt.ids))


def read_prompts(path: Path, encode: Callable[[Sequence[Message]], Ids]) -> list[Prompt]:
    """Every dialogue of the file once.

    Raises:
        RunFailedError: if there is none, or a line lacks a field.
    """
    prompts: dict[str, Prompt] = {}
    for number, line in enumerate(read_lines(path), start=1):
        if missing := FIELDS - line.keys():
            raise RunFailedError(f"prompt {number} lacks {', '.join(sorted(missing))}")
        if line["dialogue"] not in prompts:
            ids = encode(line["messages"])
            prompts[line["dialogue"]] = Prompt(
                line["dialogue"], tuple(line["messages"]), Focus(line["focus"]), ids
            )
    if not prompts:
        raise RunFailedError("there is nothing to answer: the prompts are empty")
    return list(prompts.values())


def split_prompts(prompts: Sequence[Prompt], held_out: int, seed: int) -> tuple[list[Prompt], list[Prompt]]:
    """Prompts to learn from and prompts to measure on, `held_out` of them but a quarter at most; drawn by hash."""
    held = min(held_out, len(prompts) // 4)
    ranked = sorted(prompts, key=lambda prompt: draw(seed, "held out", prompt.dialogue))
    return (ranked[held:], ranked[:held]) if held >= LEAST_HELD else (ranked, [])


def prompts_of(iteration: int, prompts: Sequence[Prompt], count: int, seed: int) -> list[Prompt]:
    """The prompts of an iteration, from 0: the next `count` of an endless row of shuffled decks."""
    first, size = iteration * count, len(prompts)
    decks = range(first // size, (first + count - 1) // size + 1)
    row = np.concatenate([np.random.default_rng([seed, deck]).permutation(size) for deck in decks])
    start = first % size
    return [prompts[number] for number in row[start : start + count].tolist()]


def answer_all(
    actor: ActorCritic,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[Prompt],
    seeds: Sequence[int],
    *,
    longest: int,
    budget: int,
    check: Callable[[], None],
) -> list[Answer]:
    """One answer of the policy to each prompt, in their order, of at most `longest` tokens.

    `budget` bounds the tokens of a batch, padding included. An answer depends on the policy, its prompt and its seed;
    on the batch around it but by rounding.
    """
    answers: dict[int, Answer] = {}
    stops = stop_token_ids(tokenizer, actor.model)
    with actor.sampling() as model:
        for numbers in sampled_batches([len(prompt.ids) for prompt in prompts], longest, budget):
            asked = [prompts[number] for number in numbers]
            drawn = sample_ids(
                model,
                [prompt.ids for prompt in asked],
                [seeds[number] for number in numbers],
                stops=stops,
                pad=actor.pad,
                longest=longest,
                check=check,
            )
            for number, prompt, ids in zip(numbers, asked, drawn, strict=True):
                answers[number] = _answer(tokenizer, prompt, ids, stops)
    return [answers[number] for number in range(len(prompts))]


@torch.inference_mode()
def sample_ids(
    model: PreTrainedModel,
    prompts: Sequence[Ids],
    seeds: Sequence[int],
    *,
    stops: Sequence[int],
    pad: int,
    longest: int,
    check: Callable[[], None],
) -> list[Ids]:
    """What follows each prompt, up to a stop token, which is included, or to `longest` tokens.

    argmax(ln p + Gumbel noise) is a draw from p (see gumbel.py), and each row has a generator of its own. A row that
    has ended leaves the batch.
    """
    ids, mask = pad_left(prompts, pad, model.device)
    positions = positions_of(mask)
    cache = DynamicCache(config=model.config)
    streams = [torch.Generator(model.device).manual_seed(seed) for seed in seeds]
    drawn: list[list[int]] = [[] for _ in prompts]
    going = list(range(len(prompts)))
    for _ in range(longest):
        check()
        logits = _next_logits(model, ids, mask, positions, cache)
        tokens = _draw_tokens(logits, [streams[row] for row in going])
        for row, token in zip(going, tokens.tolist(), strict=True):
            drawn[row].append(token)
        places = [place for place, row in enumerate(going) if drawn[row][-1] not in stops]
        if not places:
            break
        kept = torch.tensor(places, device=model.device)
        if len(places) < len(going):
            cache.batch_select_indices(kept)
            going = [going[place] for place in places]
        ids, mask, positions = tokens[kept, None], mask[kept], positions[kept, -1:] + 1
        mask = torch.cat([mask, mask.new_ones(len(places), 1)], dim=1)
    return [tuple(row) for row in drawn]


def sampled_batches(lengths: Sequence[int], longest: int, budget: int) -> Iterator[list[int]]:
    """Numbers of prompts, short ones first, in batches of at most `budget` tokens; one alone may exceed it."""
    batch: list[int] = []
    for number in sorted(range(len(lengths)), key=lambda number: lengths[number]):
        if batch and (len(batch) + 1) * (lengths[number] + longest) > budget:
            yield batch
            batch = []
        batch.append(number)
    if batch:
        yield batch


def _next_logits(
    model: PreTrainedModel, ids: Tensor, mask: Tensor, positions: Tensor, cache: DynamicCache
) -> Tensor:
    """The logits behind the last column, shape [rows, vocabulary] in float32; the cache grows."""
    untyped: Any = model
    with torch.autocast("cuda", torch.bfloat16, enabled=model.device.type == "cuda"):
        output = untyped(
            input_ids=ids,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
    logits: Tensor = output.logits[:, -1].float()
    return logits


def _draw_tokens(logits: Tensor, streams: Sequence[torch.Generator]) -> Tensor:
    """One token a row, shape [rows]."""
    noise = torch.empty_like(logits)
    for own, stream in zip(noise, streams, strict=True):
        own.exponential_(generator=stream)
    return (logits - noise.log()).argmax(dim=-1)


def _answer(tokenizer: PreTrainedTokenizerBase, prompt: Prompt, ids: Ids, stops: Sequence[int]) -> Answer:
    complete = ids[-1] in stops
    spoken = ids[:-1] if complete else ids
    text = tokenizer.decode(list(spoken), skip_special_tokens=True, clean_up_tokenization_spaces=False)
    return Answer(prompt, ids, cast("str", text), complete)
