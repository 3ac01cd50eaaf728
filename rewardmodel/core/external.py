"""Sets that others made, read as pairs to measure a reward model on: one row for each pair, by majority.

Knows the import formats, votes and what is left out. Must not know rewards, models or figures, nor import torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from pydantic import ValidationError

from annotation.core.aggregate import Outcome, Vote, majority
from annotation.core.formats import rm_bench
from annotation.core.formats.base import Abstention, BadRow, ImportedJudgment, Item, Tie, parse_line
from annotation.core.formats.detection import first_rows, guess_mapping
from annotation.core.formats.fields import RowError
from annotation.core.formats.lines import UnreadableFileError, open_rows
from annotation.core.formats.mappings import FocusMapping
from annotation.core.formats.registry import FORMATS, read
from annotation.core.formats.rm_bench import Cell
from annotation.core.grades import Choice
from annotation.core.records import PreferenceRecord, content_key, dialogue_key, prompt_key
from rewardmodel.core.report import RunFailedError

KEPT: Final = 1000  # bad rows that are named; all are counted

# The field that says which part of its set a row belongs to.
SUBSETS: Final = MappingProxyType({rm_bench.FORMAT.name: "domain"})
SUBSET: Final = "subset"  # that of every other format, where its rows have one


@dataclass(frozen=True, slots=True)
class ExternalPair:
    """One pair. `line` is where it first stood; `cell` are the styles of chosen and rejected, of RM-Bench alone."""

    record: PreferenceRecord
    line: int
    subset: str
    cell: Cell | None


@dataclass
class Reading:
    """What a file held. Everything that is no pair is counted; `bad` names the first bad rows by line and reason.

    `undecided` are pairs whose judgments are evenly split, `no_choice` those asked who did not vote.
    """

    pairs: list[ExternalPair] = field(default_factory=list)
    judgments: int = 0
    ties: int = 0
    no_choice: int = 0
    undecided: int = 0
    margins_lost: int = 0
    bad_rows: int = 0
    bad: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class _Judged:
    """One pair and what was said of it so far."""

    first: ImportedJudgment
    subset: str
    cell: Cell | None
    votes: list[Vote]


def read_pairs(
    path: Path, *, form: str, mapping: Mapping[str, Any] | None = None, limit: int | None = None
) -> Reading:
    """The pairs of a file in the order in which they first stand there; the first `limit` of them.

    `mapping` says what the rows do not, as in an import; without it, it is guessed from the first rows. A vote for
    neither is left out before the majority is taken, as in an import.

    Raises:
        RunFailedError: the file cannot be read, the mapping does not fit, or no pair is left.
    """
    if form not in FORMATS:
        raise RunFailedError(f"There is no format {form!r}. Use one of {', '.join(FORMATS)}.")
    collector = _Collector(form)
    try:
        said = _mapping(path, form, mapping)
        for item in read(collector.watched(open_rows(path)), form=form, mapping=said):
            collector.take(item)
    except UnreadableFileError as error:
        raise RunFailedError(f"{path.name}, {error}.") from error
    except OSError as error:
        raise RunFailedError(f"{path.name} cannot be read: {error.strerror or error}.") from error
    reading = collector.reading
    reading.pairs = list(islice(collector.pairs(), limit))
    if not reading.pairs:
        raise RunFailedError(_nothing(path, form, reading))
    return reading


def _mapping(path: Path, form: str, said: Mapping[str, Any] | None) -> FocusMapping | None:
    shape = FORMATS[form].shape
    if shape is None:
        if said is not None:
            raise RunFailedError(f"{form} takes no mapping: its rows say everything. Leave it out.")
        return None
    if said is not None:
        try:
            return shape.model_validate(said)
        except ValidationError as error:
            wrong = error.errors(include_url=False)[0]
            where = ".".join(map(str, wrong["loc"])) or "all of it"
            raise RunFailedError(f"The mapping cannot be understood: {where}: {wrong['msg']}.") from error
    guessed = guess_mapping(form, first_rows(open_rows(path)))
    if guessed is None:
        raise RunFailedError("What the file's fields mean cannot be guessed. Say it with a mapping.")
    return guessed


class _Collector:
    """Gathers the judgments of one pair, and counts what is none."""

    def __init__(self, form: str) -> None:
        self.reading = Reading()
        self._judged: dict[tuple[Any, ...], _Judged] = {}
        self._styled = form == rm_bench.FORMAT.name
        self._subset_field = SUBSETS.get(form, SUBSET)
        self._subset = ""  # of the row that was handed on last: the formats themselves leave it out

    def watched(self, lines: Iterable[str]) -> Iterator[str]:
        for line in lines:
            self._subset = self._subset_of(line) if f'"{self._subset_field}"' in line else ""
            yield line

    def _subset_of(self, line: str) -> str:
        try:
            return parse_line(line).name(self._subset_field)
        except RowError:
            return ""  # a row that cannot be read is said of elsewhere; a subset that is no name is none

    def take(self, item: Item) -> None:
        reading = self.reading
        if isinstance(item, Tie):
            reading.ties += 1
        elif isinstance(item, Abstention):
            reading.no_choice += 1
        elif isinstance(item, BadRow):
            reading.bad_rows += 1
            if len(reading.bad) < KEPT:
                reading.bad.append({"line": item.line, "reason": item.reason})
        else:
            reading.judgments += 1
            reading.margins_lost += item.margin_lost
            self._judge(item)

    def _judge(self, item: ImportedJudgment) -> None:
        cell = rm_bench.cell_of(item) if self._styled else None
        # Nine pairs of a row stand for themselves, even where two styles have the same words.
        place = (item.line, cell) if self._styled else (item.focus, self._subset)
        key = (*place, dialogue_key(item.messages), item.response_a.text, item.response_b.text)
        one = self._judged.setdefault(key, _Judged(item, self._subset, cell, []))
        one.votes.append(Vote(item.choice, item.grade, item.safety))

    def pairs(self) -> Iterator[ExternalPair]:
        for one in self._judged.values():
            outcome = majority(one.votes)
            if outcome is None:
                self.reading.undecided += 1
            else:
                yield ExternalPair(_record(one, outcome), one.first.line, one.subset, one.cell)


def _record(one: _Judged, outcome: Outcome) -> PreferenceRecord:
    first = one.first
    a, b = first.response_a, first.response_b
    chosen, rejected = (a, b) if outcome.choice is Choice.A else (b, a)
    dialogue = dialogue_key(first.messages)
    asked = next(message["content"] for message in first.messages if message["role"] == "user")
    return PreferenceRecord(
        id=content_key("external", dialogue, first.focus, a.text, b.text, one.subset, one.cell),
        prompt=prompt_key(asked),
        dialogue=dialogue,
        batch=one.subset,
        focus=first.focus,
        split="test",
        messages=first.messages,
        chosen=chosen.text,
        rejected=rejected.text,
        grade=outcome.grade,
        margin=0.0,
        safety=outcome.safety,
        judgments=outcome.judgments,
        weight=outcome.weight,
        chosen_policy=chosen.policy,
        rejected_policy=rejected.policy,
    )


def _nothing(path: Path, form: str, reading: Reading) -> str:
    counts = (
        f"{reading.bad_rows:,} bad rows, {reading.ties:,} ties, {reading.no_choice:,} without a choice and "
        f"{reading.undecided:,} evenly split"
    )
    first = (
        f" The first bad one: line {reading.bad[0]['line']}: {reading.bad[0]['reason']}."
        if reading.bad
        else ""
    )
    return f"{path.name} holds no pair of the format {form}: {counts}.{first}"
