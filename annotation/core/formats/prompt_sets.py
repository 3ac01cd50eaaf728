"""Trainers' sets that hold prompts and no preference: TRL's prompt-only and SFT rows come in as prompts for the pool.

Knows their columns. Must not know the pool, near-duplicates or files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from annotation.core.formats.base import BadRow, parse_line
from annotation.core.formats.dialogues import CHAT
from annotation.core.formats.fields import Row, RowError
from annotation.core.formats.mappings import FocusMapping
from annotation.core.formats.prompts import LONGEST, MOST_TURNS, ImportedPrompt
from annotation.core.grades import Focus
from annotation.core.records import Message

MAPPING_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class PromptSet:
    """One source's shape of row; `turns` gives what was said to the model, and perhaps by it."""

    name: str
    title: str
    version: int
    mapping: tuple[tuple[str, str], ...]
    turns: Callable[[Row], tuple[Message, ...]]
    shape: type[FocusMapping] = FocusMapping


def read_prompt_set(
    lines: Iterable[str], *, form: str, said: FocusMapping
) -> Iterator[ImportedPrompt | BadRow]:
    """Prompts and bad rows in the order of the file: of each dialogue the user's first turn.

    Raises:
        KeyError: there is no such set.
    """
    turns = PROMPT_SETS[form].turns
    for number, line in enumerate(lines, start=1):
        if not line or line.isspace():
            continue
        try:
            yield _prompt(number, turns(parse_line(line)), said.focus)
        except RowError as error:
            yield BadRow(number, str(error))


def _prompt(line: int, messages: tuple[Message, ...], focus: Focus) -> ImportedPrompt:
    said = [message["content"] for message in messages if message["role"] == "user"]
    if not said:
        raise RowError("no turn of the user: there is no prompt in it")
    text = said[0].replace("\r\n", "\n")
    if len(text) > LONGEST:
        raise RowError(f"the prompt has {len(text):,} characters: {LONGEST:,} are the most")
    return ImportedPrompt(line=line, text=text, focus=focus, turns=min(len(said), MOST_TURNS))


def _stated(row: Row) -> tuple[Message, ...]:
    if isinstance(row.get("prompt"), list):
        return CHAT.messages(row, "prompt")
    return ({"role": "user", "content": row.text("prompt")},)


def _trained(row: Row) -> tuple[Message, ...]:
    return CHAT.messages(row, "messages") if row.has("messages") else _stated(row)


PROMPT_SETS: Final[Mapping[str, PromptSet]] = MappingProxyType(
    {
        form.name: form
        for form in (
            PromptSet(
                name="trl-prompt",
                title="TRL prompt-only, as prompts",
                version=MAPPING_VERSION,
                mapping=(
                    (
                        "`prompt`",
                        "text, the prompt; of messages the user's first turn, and how many there are",
                    ),
                    ("other columns", "left out; the focus is the one you name"),
                ),
                turns=_stated,
            ),
            PromptSet(
                name="trl-sft",
                title="TRL SFT, as prompts",
                version=MAPPING_VERSION,
                mapping=(
                    ("`messages`", "the user's first turn is the prompt; how many turns there are"),
                    ("`prompt`", "the same where there are no `messages`"),
                    ("replies, `completion`, other columns", "left out; the focus is the one you name"),
                ),
                turns=_trained,
            ),
        )
    }
)
