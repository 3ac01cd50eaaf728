"""What reward models are measured on: real pairs from a file, and dialogues strung together from the prompt pool."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from annotation.core.formats.base import ImportedJudgment
from annotation.core.formats.lines import open_lines
from annotation.core.formats.registry import read
from annotation.core.records import Message
from rewardmodel.core.rows import Row, RowEncoder

POOL = Path(__file__).resolve().parent.parent / "annotation" / "pool" / "helpfulness.txt"
LONGEST = 512

Pairs = list[tuple[Row, Row]]


def hh_pairs(tokenizer: PreTrainedTokenizerBase, data: Path | None, count: int) -> Pairs:
    """The first pairs of a file whose rows have at most 512 tokens; without a file, made ones of three turns."""
    encoder = RowEncoder(tokenizer, LONGEST)
    pairs: Pairs = []
    for messages, one, other in _dialogues(data):
        a, b = encoder.rows(messages, (one, other))
        if max(len(a.tokens), len(b.tokens)) <= LONGEST:
            pairs.append((a, b))
        if len(pairs) == count:
            return pairs
    return pairs[: len(pairs) // 8 * 8]


def turn_pairs(tokenizer: PreTrainedTokenizerBase, dialogues: int, turns: int = 4) -> Pairs:
    """A pair at each turn: prompts of 20 to 40 tokens, answers of 60 to 140; the chosen answer goes on."""
    words, encoder, pairs = Words(tokenizer), RowEncoder(tokenizer, 8192), []
    for _ in range(dialogues):
        messages: list[Message] = []
        for _ in range(turns):
            messages.append({"role": "user", "content": words.text(20, 40)})
            one, other = words.text(60, 140), words.text(60, 140)
            a, b = encoder.rows(messages, (one, other))
            pairs.append((a, b))
            messages.append({"role": "assistant", "content": one})
    return pairs


def short_pairs(tokenizer: PreTrainedTokenizerBase, count: int) -> Pairs:
    """Prompts of 4 to 8 tokens with answers of 250 to 450: hardly anything to share."""
    words, encoder = Words(tokenizer), RowEncoder(tokenizer, 8192)
    pairs = []
    for _ in range(count // 8 * 8):
        a, b = encoder.rows(
            [{"role": "user", "content": words.text(4, 8)}], (words.text(250, 450), words.text(250, 450))
        )
        pairs.append((a, b))
    return pairs


def candidates(tokenizer: PreTrainedTokenizerBase, *, prompts: int, prompt: int, k: int) -> list[Row]:
    """`k` answers of 24 to 64 tokens to each of `prompts` prompts of about `prompt` tokens."""
    words, encoder, rows = Words(tokenizer), RowEncoder(tokenizer, 8192), []
    for _ in range(prompts):
        messages: list[Message] = [{"role": "user", "content": words.text(prompt - 32, prompt - 32)}]
        rows += encoder.rows(messages, [words.text(24, 64) for _ in range(k)])
    return rows


class Words:
    """Texts of a wanted length in tokens, always the same ones in the same order."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer = tokenizer
        self._draw = random.Random(0)
        self._lines = POOL.read_text().splitlines()

    def text(self, least: int, most: int) -> str:
        wanted = self._draw.randint(least, most)
        ids: list[int] = []
        while len(ids) < wanted:
            ids += self._tokenizer(self._draw.choice(self._lines) + " ", add_special_tokens=False)[
                "input_ids"
            ]
        return str(self._tokenizer.decode(ids[:wanted]))


def _dialogues(data: Path | None) -> Sequence[tuple[Sequence[Message], str, str]]:
    if data is None:
        return made(256)
    judgments = (j for j in read(open_lines(data), form="hh-rlhf") if isinstance(j, ImportedJudgment))
    found = [(j.messages, j.response_a.text, j.response_b.text) for j in itertools.islice(judgments, 1024)]
    random.Random(0).shuffle(found)
    return found


def made(count: int) -> list[tuple[Sequence[Message], str, str]]:
    """Dialogues of three user turns whose texts are strung together from the prompt pool."""
    lines = POOL.read_text().splitlines()
    draw = random.Random(0)

    def text(least: int, most: int) -> str:
        return " ".join(draw.choice(lines) for _ in range(draw.randint(least, most)))

    found: list[tuple[Sequence[Message], str, str]] = []
    for _ in range(count):
        messages: list[Message] = []
        for turn in range(3):
            messages.append({"role": "user", "content": text(1, 3)})
            if turn < 2:
                messages.append({"role": "assistant", "content": text(2, 6)})
        found.append((messages, text(2, 8), text(2, 8)))
    return found
