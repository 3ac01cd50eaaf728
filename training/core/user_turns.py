"""A policy in the user's place, and when a dialogue that nobody steers is over (Baize's self-chat, arXiv 2304.01196).

Knows roles and words. Must not know how a message is drawn. Baize let one model go on with a transcript of both
sides; a chat model answers as the assistant only, so that here the roles are changed round.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum
from typing import Final

from annotation.core.records import Message
from annotation.sketches import THRESHOLD, similarity
from training.core.rules import words_of
from training.core.selection import is_empty

AS_USER: Final = (
    "You are a person who has come to an AI assistant with questions. You are not the assistant. Each message you "
    "get is the assistant's answer. Write your next message to it: one short question or remark that follows from "
    "the answer, in your own words. Do not thank, do not explain, do not answer yourself. If you have nothing more "
    "to ask, write: Goodbye."
)
GREETING: Final = "Hello! What would you like to know?"

LOOPING: Final = 0.5  # of a message's runs of four words; with fewer different ones it goes round in circles
RUN: Final = 4
LEAVE_TAKING: Final = 12  # words; a longer message speaks of goodbyes
LEAST_RUNS: Final = 8  # a shorter message says too little to tell

_LABEL: Final = re.compile(r"^\s*(?:user|human|person|me|you)\s*:\s*", re.IGNORECASE)
_SENTENCE_END: Final = re.compile(r"[.!?\u2026\u3002\uff01\uff1f][\"'\u201d\u2019)\]]*(?=\s|$)")
_FAREWELL: Final = re.compile(r"\b(?:good-?\s?bye|bye[- ]bye|bye for now|farewell)\b", re.IGNORECASE)


class Over(StrEnum):
    """Why a dialogue ended before its last turn."""

    EMPTY = "empty"  # nothing was said
    GOODBYE = "goodbye"  # the user took leave
    LOOP = "loop"  # a message goes round in circles
    REPEAT = "repeat"  # a message repeats an earlier one of its side
    CUT = "cut"  # an answer had no room to end


def as_user(messages: Sequence[Message]) -> list[Message]:
    """The dialogue from the other side: what the user said stands as the assistant's, and the reverse.

    A template wants the user to begin, so that the user's first message answers a greeting; a system message of the
    dialogue is none of the user's business.
    """
    swapped: list[Message] = [
        {"role": "assistant" if turn["role"] == "user" else "user", "content": turn["content"]}
        for turn in messages
        if turn["role"] != "system"
    ]
    return [{"role": "system", "content": AS_USER}, {"role": "user", "content": GREETING}, *swapped]


def clean(text: str, finish_reason: str) -> str:
    """A user turn as it is used: one paragraph, without a label, and of a cut message its whole sentences."""
    text = _LABEL.sub("", text.strip(), count=1).strip().strip('"').strip()
    text = text.split("\n\n")[0].strip()
    if finish_reason == "length":
        ends = [found.end() for found in _SENTENCE_END.finditer(text)]
        text = text[: ends[-1]] if ends else ""
    return text


def why_over(said: str, earlier: Sequence[str], *, user: bool) -> Over | None:
    """Why the dialogue ends before this message, given what its side said earlier; None: it goes on."""
    if is_empty(said):
        return Over.EMPTY
    if user and _FAREWELL.search(said) and len(words_of(said)) <= LEAVE_TAKING:
        return Over.GOODBYE
    if is_looping(said):
        return Over.LOOP
    if any(alike(said, other) for other in earlier):
        return Over.REPEAT
    return None


def is_looping(text: str) -> bool:
    """Whether fewer than half of its runs of four words are different ones."""
    words = words_of(text)
    runs = [tuple(words[start : start + RUN]) for start in range(len(words) - RUN + 1)]
    return len(runs) >= LEAST_RUNS and len(set(runs)) < LOOPING * len(runs)


def alike(one: str, other: str) -> bool:
    """Whether the messages are near-duplicates, as prompts are compared (annotation.sketches)."""
    return similarity(one, other) >= THRESHOLD


def said_by(messages: Sequence[Message], role: str) -> list[str]:
    return [message["content"] for message in messages if message["role"] == role]
