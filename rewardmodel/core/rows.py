"""Dialogues and responses turned into the rows that a reward model reads: one cut, one template, everywhere.

Knows tokenizers and lengths. Must not know rewards or models. Training and scoring encode through here alone,
so that a score is read on the same text that was learnt from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from transformers import PreTrainedTokenizerBase

from annotation.core.records import Message, PreferenceRecord
from rewardmodel.core.backbone import (
    UnstableTemplateError,
    encode_answered,
    encode_prompt,
    encode_response,
)
from rewardmodel.core.tree import common_prefix


@dataclass(frozen=True, slots=True)
class Row:
    """Prompt and response as token ids; the response begins at `start` and ends with the row."""

    tokens: tuple[int, ...]
    start: int


@dataclass(frozen=True, slots=True)
class Pair:
    """One comparison of the snapshot, encoded."""

    record: PreferenceRecord
    chosen: Row
    rejected: Row


@dataclass(frozen=True)
class RowEncoder:
    """Encodes for rows of `max_length` tokens.

    A prompt may use half of a row, whatever answers it: both responses of a pair, and all candidates, are
    read behind the same text, and a score does not depend on what it is compared with. Longer prompts lose
    their oldest exchanges, whole; the system message and the last user turn always stay.
    """

    tokenizer: PreTrainedTokenizerBase
    max_length: int

    def cut(self, messages: Sequence[Message]) -> list[Message]:
        """The messages without as many of the oldest exchanges as it takes."""
        system = [message for message in messages[:1] if message["role"] == "system"]
        turns = list(messages[len(system) :])
        starts = [index for index, turn in enumerate(turns) if turn["role"] == "user" and index > 0]
        kept = [*system, *turns]
        for start in starts:
            if len(encode_prompt(self.tokenizer, kept)) <= self.max_length // 2:
                break
            kept = [*system, *turns[start:]]
        return kept

    def rows(self, messages: Sequence[Message], responses: Sequence[str]) -> list[Row]:
        """One row a response. A response is never cut; such a row may be longer than `max_length`."""
        kept = self.cut(messages)
        prompt = encode_prompt(self.tokenizer, kept)
        return [self._row(kept, prompt, text) for text in responses]

    def _row(self, messages: Sequence[Message], prompt: Sequence[int], text: str) -> Row:
        try:
            return Row((*prompt, *encode_response(self.tokenizer, messages, text)), len(prompt))
        except UnstableTemplateError:
            whole = encode_answered(self.tokenizer, messages, text)
            # The response is what differs from the opened prompt; a tree shares what really is equal, and no more.
            return Row(tuple(whole), min(common_prefix(np.array(prompt), np.array(whole)), len(whole) - 1))

    def is_stable(self) -> bool:
        """Whether the template renders a prompt alike before and behind an answer; else less of a tree is shared."""
        try:
            encode_response(self.tokenizer, [{"role": "user", "content": "Why?"}], "So.")
        except UnstableTemplateError:
            return False
        return True

    def pair(self, record: PreferenceRecord) -> Pair | None:
        """Both rows of a comparison, or None where one of them does not fit."""
        chosen, rejected = self.rows(record.messages, (record.chosen, record.rejected))
        if max(len(chosen.tokens), len(rejected.tokens)) > self.max_length:
            return None
        return Pair(record, chosen, rejected)
