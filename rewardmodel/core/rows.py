"""Dialogues and responses turned into the rows that a reward model reads: one cut, one template, everywhere.

Knows tokenizers and lengths. Must not know rewards or models. Training and scoring encode through here alone,
so that a score is read on the same text that was learnt from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from annotation.core.records import Message, PreferenceRecord
from rewardmodel.core.backbone import encode_prompt, encode_response


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
        return [
            Row((*prompt, *encode_response(self.tokenizer, kept, text)), len(prompt)) for text in responses
        ]

    def pair(self, record: PreferenceRecord) -> Pair | None:
        """Both rows of a comparison, or None where one of them does not fit."""
        chosen, rejected = self.rows(record.messages, (record.chosen, record.rejected))
        if max(len(chosen.tokens), len(rejected.tokens)) > self.max_length:
            return None
        return Pair(record, chosen, rejected)
