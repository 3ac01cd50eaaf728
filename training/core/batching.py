"""Requests as token ids, and which of them are worked on together.

Knows chat templates, lengths and budgets. Must not know weights, sampling or files other than a policy's tokenizer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import torch
from transformers import AutoConfig, PreTrainedTokenizerBase

from annotation.core.records import Message
from rewardmodel.core.backbone import PolicyRef, encode_prompt
from rewardmodel.core.report import RunFailedError
from rewardmodel.core.rows import RowEncoder

Ids = tuple[int, ...]

# A chunk is what a kill may cost; within it finished rows make room for waiting ones. Several batches long, so that the
# last rows of a chunk, which nobody joins any more, are few beside the others.
BATCHES_A_CHUNK: Final = 4
_NO_LIMIT: Final = 2**31


class PromptEncoder:
    """A policy's prompts as ids; a dialogue too long for the model loses its oldest exchanges, whole."""

    def __init__(self, ref: PolicyRef, tokenizer: PreTrainedTokenizerBase) -> None:
        self._name = ref.name
        self._tokenizer = tokenizer
        config = AutoConfig.from_pretrained(
            ref.base or ref.path, local_files_only=True, trust_remote_code=False
        )
        self.window: int = getattr(config, "max_position_embeddings", None) or _NO_LIMIT
        self._known: dict[tuple[Any, ...], Ids] = {}

    def __call__(self, messages: Sequence[Message], max_new_tokens: int) -> Ids:
        """The prompt's ids, with room for `max_new_tokens` behind them.

        Raises:
            RunFailedError: the last message alone leaves no room.
        """
        key = (max_new_tokens, *((m["role"], m["content"]) for m in messages))
        if key not in self._known:
            self._known[key] = self._encode(messages, max_new_tokens)
        return self._known[key]

    def _encode(self, messages: Sequence[Message], max_new_tokens: int) -> Ids:
        room = self.window - max_new_tokens
        kept = RowEncoder(self._tokenizer, 2 * room).cut(messages)  # which gives a prompt half a row
        ids = encode_prompt(self._tokenizer, kept)
        if len(ids) > room:
            raise RunFailedError(
                f"{self._name} sees {self.window} tokens, which leave no room for {max_new_tokens} "
                f"new ones after the message that begins {messages[-1]['content'][:60]!r}"
            )
        return tuple(ids)


def plan_batches(prompts: Sequence[Ids], new_tokens: Sequence[int], budget: int) -> list[list[int]]:
    """Indices in batches of at most `budget` tokens: each distinct prompt once, and the longest possible responses.

    Rows of like prompt length stand together, and rows of the same prompt next to each other, so that they share its
    prefill. A row that exceeds the budget by itself gets a batch of its own.
    """
    batches: list[list[int]] = []
    held: set[Ids] = set()
    cost = 0
    for index in in_groups(prompts):
        prompt = prompts[index]
        more = new_tokens[index] + (0 if prompt in held else len(prompt))
        if not batches or cost + more > budget:
            batches.append([])
            held, cost, more = set(), 0, new_tokens[index] + len(prompt)
        batches[-1].append(index)
        held.add(prompt)
        cost += more
    return batches


def in_groups(prompts: Sequence[Ids]) -> list[int]:
    """All indices, by length of the prompt, those of one prompt next to each other."""
    first: dict[Ids, int] = {}
    for index, prompt in enumerate(prompts):
        first.setdefault(prompt, index)
    return sorted(range(len(prompts)), key=lambda i: (len(prompts[i]), first[prompts[i]], i))


def pad_left(prompts: Sequence[Ids], pad: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and mask [prompts, longest], int64: a decoder continues the last column."""
    width = max(len(prompt) for prompt in prompts)
    ids = [[pad] * (width - len(prompt)) + list(prompt) for prompt in prompts]
    mask = [[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts]
    return torch.tensor(ids, device=device), torch.tensor(mask, device=device)


def positions_of(mask: torch.Tensor) -> torch.Tensor:
    """Position ids of left-padded rows [rows, length]: each row counts from its own first token."""
    return (mask.cumsum(dim=1) - 1).clamp(min=0)
