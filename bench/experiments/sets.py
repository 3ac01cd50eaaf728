"""The preference sets of the learning experiments: one row a pair, people's majority, and a group a prompt.

Knows the import formats and how votes become one preference. Must not know models, features or folds.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from annotation.core.formats.base import ImportedJudgment as Judgment
from annotation.core.formats.base import Item
from annotation.core.formats.lines import open_lines
from annotation.core.formats.registry import read
from annotation.core.grades import Choice
from annotation.core.records import Message


@dataclass(frozen=True, slots=True)
class Source:
    """A file, its import format, and how many of its pairs are drawn (all where it is 0)."""

    file: str
    form: str
    title: str
    groups: str  # what a group is, in words
    limit: int = 0


SOURCES: Final = {
    "hh": Source("hh_harmless_pairs.jsonl.gz", "hh-rlhf", "HH-RLHF, harmless", "first human turn"),
    "tulu": Source("tulu_human_eval_annotations.jsonl.gz", "tulu", "Tülu human evaluation", "prompt"),
    "pandalm": Source("pandalm_3annotators.jsonl.gz", "pandalm", "PandaLM", "prompt"),
    "ukp": Source("ukpconvarg_5annotators.jsonl.gz", "ukpconvarg", "UKPConvArg1", "debate", 1000),
}


@dataclass(frozen=True, slots=True)
class Preference:
    """A pair on which more people chose `chosen`; pairs of one `group` are never on both sides of a split."""

    messages: tuple[Message, ...]
    chosen: str
    rejected: str
    group: str


@dataclass(frozen=True, slots=True)
class PairSet:
    """What a file holds for the experiments, and what of it was left out."""

    name: str
    pairs: tuple[Preference, ...]
    counts: dict[str, int]

    @property
    def groups(self) -> list[str]:
        return [pair.group for pair in self.pairs]


def load_set(name: str, data: Path, *, seed: int = 0) -> PairSet:
    """The pairs of the set `name` below the folder `data`; where it is limited, a draw that `seed` fixes."""
    source = SOURCES[name]
    pairs, counts = settle(read(open_lines(data / source.file), form=source.form))
    if source.limit and len(pairs) > source.limit:
        picked = sorted(random.Random(seed).sample(range(len(pairs)), source.limit))
        pairs = [pairs[index] for index in picked]
    return PairSet(name, tuple(pairs), {**counts, "pairs": len(pairs)})


def settle(items: Iterable[Item]) -> tuple[list[Preference], dict[str, int]]:
    """One preference for each pair with more votes on one side, in the order of the file, and the counts.

    Votes for neither count for no side. A pair with as many votes on both sides is left out.
    """
    votes: dict[tuple[tuple[tuple[str, str], ...], str, str], Counter[Choice]] = {}
    dialogues: dict[tuple[tuple[str, str], ...], tuple[Message, ...]] = {}
    other = 0
    for item in items:
        if not isinstance(item, Judgment):
            other += 1
            continue
        dialogue = tuple((str(message["role"]), message["content"]) for message in item.messages)
        dialogues[dialogue] = item.messages
        key = (dialogue, item.response_a.text, item.response_b.text)
        votes.setdefault(key, Counter())[item.choice] += 1
    pairs = []
    for (dialogue, a, b), cast in votes.items():
        if cast[Choice.A] == cast[Choice.B]:
            continue
        chosen, rejected = (a, b) if cast[Choice.A] > cast[Choice.B] else (b, a)
        pairs.append(Preference(dialogues[dialogue], chosen, rejected, dialogue[0][1]))
    counts = {
        "judgments": sum(sum(cast.values()) for cast in votes.values()),
        "judged_pairs": len(votes),
        "even_votes": len(votes) - len(pairs),
        "ties_and_bad_rows": other,
    }
    return pairs, counts


def texts_of(pairs: Sequence[Preference]) -> list[str]:
    """Chosen and rejected in turn: pair i has texts 2i and 2i + 1."""
    return [text for pair in pairs for text in (pair.chosen, pair.rejected)]
