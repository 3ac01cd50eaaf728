"""What every export format shares: the shape of one, the way of records through it, and what a pair must be.

Knows records, rows and reasons why a record gives none. Must not know the columns of any one format (a module
each), files or the database.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar

from annotation.core.records import Message, PreferenceRecord

JSON_LINES: Final = "application/x-ndjson"

Row = dict[str, Any]
R = TypeVar("R")

_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


class UnfitError(Exception):
    """A record that a format cannot hold without changing what it says; its text is the reason, to be counted."""


def _nothing_beside(_splits: Collection[str]) -> Mapping[str, str]:
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportFormat(Generic[R]):
    """One shape of rows. `describe` says column by column what stands there, and the manual prints it.

    `version` rises with every change of what the same record becomes. `rows` is a pure function of one record and
    raises UnfitError where the format cannot hold it. Of the rows whose records have the same `once`, a hexadecimal
    key, a file has the first alone. `beside` names and gives the texts of the files that belong into the folder of
    the rows, one file `<split><suffix>` a split, from the splits there are.
    """

    name: str
    title: str
    version: int
    describe: tuple[tuple[str, str], ...]
    rows: Callable[[R], Iterable[Row]]
    once: Callable[[R], str] | None = None
    beside: Callable[[Collection[str]], Mapping[str, str]] = _nothing_beside
    media_type: str = JSON_LINES
    suffix: str = ".jsonl"


@dataclass(slots=True)
class Passage(Generic[R]):
    """The way of one file's records through a format: rows in their order, and counts of what was left out.

    Holds 16 bytes and their overhead (about 90) for each key of a format that has `once`, and nothing of the
    records otherwise.
    """

    form: ExportFormat[R]
    left_out: Counter[str] = field(default_factory=Counter)
    _seen: set[bytes] = field(default_factory=set)

    def rows(self, record: R) -> Iterator[Row]:
        """The rows of the next record, often one, none where it is left out."""
        try:
            rows = list(self.form.rows(record))
        except UnfitError as error:
            self.left_out[str(error)] += 1
            return
        if self.form.once is not None:
            key = bytes.fromhex(self.form.once(record))
            if key in self._seen:
                self.left_out["the same as an earlier row"] += 1
                return
            self._seen.add(key)
        yield from rows


def line_of(row: Row) -> str:
    """A row as one line of JSON, its columns in the order of the format."""
    return _ENCODER.encode(row) + "\n"


def turns(messages: Iterable[Message]) -> list[Message]:
    """Messages whose keys stand in one order: a database may give them back in another."""
    return [{"role": message["role"], "content": message["content"]} for message in messages]


def answer(text: str) -> list[Message]:
    """An answer as the list of one message that the conversational formats ask for."""
    return [{"role": "assistant", "content": text}]


def checked_pair(record: PreferenceRecord) -> tuple[str, str]:
    """The chosen and the rejected text of a record that says something of two texts.

    Raises:
        UnfitError: they are the same, so that no loss could tell them apart.
    """
    if record.chosen.strip() == record.rejected.strip():
        raise UnfitError("both responses are the same text")
    return record.chosen, record.rejected


def message_rows(record: PreferenceRecord) -> Iterator[Row]:
    """Prompt and both answers as lists of messages, with the margin: what TRL and OpenRLHF both read."""
    chosen, rejected = checked_pair(record)
    # A margin in every row, and as a float: TRL looks for the column in a batch's first row alone.
    yield {
        "prompt": turns(record.messages),
        "chosen": answer(chosen),
        "rejected": answer(rejected),
        "margin": float(record.margin),
        "id": record.id,
    }


def split_system(messages: Sequence[Message]) -> tuple[str, Sequence[Message]]:
    """The text of the system message, empty where there is none, and the turns after it.

    Raises:
        UnfitError: the turns do not go user, assistant, …, user.
    """
    system, rest = "", messages
    if messages and messages[0]["role"] == "system":
        system, rest = messages[0]["content"], messages[1:]
    roles = [message["role"] for message in rest]
    if roles != [("user", "assistant")[n % 2] for n in range(len(roles))] or len(roles) % 2 == 0:
        raise UnfitError("the turns do not alternate from user to user")
    return system, rest


def without_system(messages: Sequence[Message]) -> Sequence[Message]:
    """The turns of a dialogue that has no system message.

    Raises:
        UnfitError: it has one, or its turns do not go user, assistant, …, user.
    """
    system, rest = split_system(messages)
    if system or len(rest) < len(messages):
        raise UnfitError("the dialogue has a system message, for which there is no place")
    return rest
