"""Conversations that somebody wrote or collected: a file of {"messages": [...]} a line, to learn every answer of.

Knows the shape of a conversation and how to say what is wrong with one. Must not know tokens, models or torch: the web
process checks a file with it before it is kept.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from annotation.core.records import Message, canonical_json, dialogue_key
from training.core.selection import is_empty
from training.core.targets import ROLES, Target

LONGEST_NAME: Final = 60  # characters of a field's name that an error quotes


@dataclass(frozen=True, slots=True)
class LineError:
    """What is wrong with one line; lines count from 1."""

    line: int
    reason: str


def check_lines(lines: Iterable[str]) -> Iterator[str | LineError]:
    """For each line that is not blank its canonical form, of the fields that are read, or what is wrong with it."""
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            given = json.loads(line)
        except ValueError:
            yield LineError(number, "this is not JSON")
            continue
        fault = fault_of(given)
        yield LineError(number, fault) if fault else canonical_json({"messages": given["messages"]}) + "\n"


def conversation(row: Mapping[str, Any]) -> Target:
    """The target of a conversation that has no fault: every answer of it is learnt."""
    turns: list[Message] = row["messages"]
    return Target(
        dialogue=dialogue_key(turns), messages=tuple(turns[:-1]), text=turns[-1]["content"], every=True
    )


def fault_of(given: Any) -> str:
    """What keeps a line from being a conversation; empty: nothing."""
    if not isinstance(given, dict) or not isinstance(given.get("messages"), list):
        return 'a conversation is an object {"messages": [...]}'
    turns = given["messages"]
    for number, turn in enumerate(turns, start=1):
        if fault := _fault_of_turn(turn):
            return f"message {number}: {fault}"
    if not turns:
        return "messages is empty"
    return _fault_of_order([turn["role"] for turn in turns])


def _fault_of_turn(turn: Any) -> str:
    if not isinstance(turn, dict):
        return "a message is an object {role, content}"
    if unknown := sorted(turn.keys() - {"role", "content"}):
        return f"a message has role and content alone, and not {unknown[0][:LONGEST_NAME]!r}"
    if turn.get("role") not in ROLES:
        return f"its role is none of {', '.join(sorted(ROLES))}"
    content = turn.get("content")
    if not isinstance(content, str) or is_empty(content):
        return "its content is no text, or an empty one"
    return ""


def _fault_of_order(roles: list[str]) -> str:
    """After a system message, where there is one, users and assistants take turns; an assistant has the last word."""
    first = 1 if roles[0] == "system" else 0
    for number, role in enumerate(roles[first:]):
        wanted = "assistant" if number % 2 else "user"
        if role != wanted:
            return f"message {first + number + 1}: here the {wanted} speaks, and not the {role}"
    return "" if roles[-1] == "assistant" else "the last word is not an assistant's"
