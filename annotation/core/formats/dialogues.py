"""Dialogues as lists of messages, and pairs of dialogues that part at their last reply.

Knows roles, turns and what both sides share. Must not know the fields of any one source, or who judged.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Literal

from annotation.core.formats.base import user_turn
from annotation.core.formats.fields import Row, RowError, clean_text, kind_of
from annotation.core.records import Message

TURNS: Final = "after an optional system message, user and assistant take turns, the user first"

Role = Literal["system", "user", "assistant"]
OPENAI: Final[Mapping[str, Role]] = MappingProxyType(
    {"system": "system", "user": "user", "assistant": "assistant"}
)
SHAREGPT: Final[Mapping[str, Role]] = MappingProxyType(
    {"system": "system", "human": "user", "gpt": "assistant", "user": "user", "assistant": "assistant"}
)


@dataclass(frozen=True, slots=True)
class Speech:
    """How a source writes a message: its keys, and its words for the roles."""

    role: str = "role"
    content: str = "content"
    roles: Mapping[str, Role] = field(default_factory=lambda: OPENAI)

    def message(self, turn: Row, *, strip: bool = True) -> Message:
        word = turn.word(self.role, self.roles)
        return {"role": self.roles[word], "content": turn.text(self.content, strip=strip)}

    def messages(self, row: Row, key: str, *, strip: bool = True) -> tuple[Message, ...]:
        return tuple(self.message(turn, strip=strip) for turn in row.rows(key))


CHAT: Final = Speech()


def check_prompt(messages: tuple[Message, ...], path: str) -> tuple[Message, ...]:
    """The messages, if both responses can answer them: in turns, the user's last.

    Raises:
        RowError: they cannot.
    """
    turns = messages[1:] if messages and messages[0]["role"] == "system" else messages
    expected = "user"
    for index, message in enumerate(turns, start=len(messages) - len(turns)):
        if message["role"] != expected:
            raise RowError(f"{path}[{index}].role is {message['role']}: {TURNS}")
        expected = "assistant" if expected == "user" else "user"
    if not turns or expected == "user":
        raise RowError(f"{path} must end with a user turn: the one that both responses answer")
    return messages


def prompt_of(row: Row, key: str, *, strip: bool = True) -> tuple[Message, ...]:
    """A prompt that is either text, its only user turn, or a list of messages."""
    value = row.get(key)
    if isinstance(value, list):
        return check_prompt(CHAT.messages(row, key, strip=strip), row.path(key))
    return user_turn(clean_text(value, row.path(key), strip=strip))


def system_turn(row: Row) -> tuple[Message, ...]:
    """The system message that stands in a field of its own; nothing where that is absent or empty."""
    text = row.optional_text("system").strip()
    return ({"role": "system", "content": text},) if text else ()


def reply(message: Message, path: str) -> str:
    if message["role"] != "assistant":
        raise RowError(
            f"{path} ends with a turn of the {message['role']}: it must be a reply of the assistant"
        )
    return message["content"]


def part(chosen: tuple[Message, ...], rejected: tuple[Message, ...]) -> tuple[tuple[Message, ...], str, str]:
    """The shared prompt of two dialogues, and the two replies that end them.

    Raises:
        RowError: they share no prompt, or do not end with a reply.
    """
    for turns, path in ((chosen, "chosen"), (rejected, "rejected")):
        if not turns:
            raise RowError(f"{path} is empty")
    one, other = reply(chosen[-1], "chosen"), reply(rejected[-1], "rejected")
    if chosen[:-1] != rejected[:-1]:
        raise RowError("chosen and rejected share no prompt: their turns before the last reply differ")
    return check_prompt(chosen[:-1], "the shared prompt"), one, other


def divide(chosen: str, rejected: str) -> tuple[str, str, str]:
    """A prompt and two replies from two texts that begin alike: the prompt ends with the last whole word that both
    share.

    Raises:
        RowError: they do not begin alike, or one is the beginning of the other.
    """
    shared = next(
        (n for n, (one, other) in enumerate(zip(chosen, rejected, strict=False)) if one != other),
        min(len(chosen), len(rejected)),
    )
    cut = max((chosen.rfind(blank, 0, shared) for blank in " \n\t"), default=-1) + 1
    prompt = chosen[:cut]
    if not prompt.strip():
        raise RowError("chosen and rejected share no prompt: both must begin with the same words and go on")
    return (
        prompt,
        clean_text(chosen[cut:], "chosen after the shared prompt"),
        clean_text(rejected[cut:], "rejected after the shared prompt"),
    )


def replies(row: Row) -> tuple[tuple[Message, ...], str, str]:
    """Prompt, chosen and rejected of a row that has these fields, each text or messages, the prompt stated or shared.

    Raises:
        RowError: it has not.
    """
    chosen, rejected = row.get("chosen"), row.get("rejected")
    if isinstance(chosen, str) is not isinstance(rejected, str):
        raise RowError(f"chosen is {kind_of(chosen)} and rejected {kind_of(rejected)}: write both alike")
    if isinstance(chosen, str):
        return _plain(row)
    return _conversational(row)


def _plain(row: Row) -> tuple[tuple[Message, ...], str, str]:
    if row.has("prompt"):
        return prompt_of(row, "prompt"), row.text("chosen"), row.text("rejected")
    prompt, chosen, rejected = divide(row.text("chosen"), row.text("rejected"))
    return user_turn(prompt.strip()), chosen, rejected


def _conversational(row: Row) -> tuple[tuple[Message, ...], str, str]:
    chosen, rejected = CHAT.messages(row, "chosen"), CHAT.messages(row, "rejected")
    if not row.has("prompt"):
        return part(chosen, rejected)
    prompt = _stated(row.get("prompt"), row)
    if chosen and chosen[0]["role"] != "assistant":
        # Some published sets repeat the prompt in front of each reply.
        if not all(turn in chosen for turn in prompt):
            raise RowError("prompt is not among the turns of chosen: state it once")
        return part(chosen, rejected)
    return part((*prompt, *chosen), (*prompt, *rejected))


def _stated(value: Any, row: Row) -> tuple[Message, ...]:
    if isinstance(value, list):
        return CHAT.messages(row, "prompt")
    return user_turn(row.text("prompt"))
