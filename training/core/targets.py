"""What a policy learns from: dialogues with the answers to imitate, and the runs that make them.

Knows the lines of a targets file and which winner of a dialogue counts. Must not know tokens, models or torch: the web
process names the files with it.

A line is {"dialogue", "messages", "text", "finish_reason", "policy", "focus"}, where `messages` ends with the turn that
`text` answers. It may have a "score", and "learn": "last" (the default: loss on `text` alone; all turns before it have
none, as in section 3.3) or "every" (loss on every assistant's turn of `messages` too).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from annotation.core.records import Message, content_key
from rewardmodel.core.report import RunFailedError
from training.core.chunks import read_lines
from training.core.selection import is_empty
from training.core.spec import RunKind

# The file of its output in which each kind of run puts what it made to learn from.
TARGETS: Final[Mapping[RunKind, str]] = MappingProxyType(
    {
        RunKind.REJECTION_SAMPLE: "winners.jsonl",
        RunKind.GATT: "targets.jsonl",
        RunKind.DISTILL: "targets.jsonl",
        RunKind.SELF_CHAT: "targets.jsonl",
    }
)
BANK: Final = "bank.jsonl"  # winners of all rounds up to that one, one a dialogue
ROLES: Final = frozenset({"system", "user", "assistant"})
LEARN: Final = ("last", "every")


@dataclass(frozen=True, slots=True)
class Target:
    """One dialogue and the answer to learn.

    Attributes:
        dialogue: names the dialogue; winners of one name are rivals.
        messages: what comes before the answer; its last turn is a user's.
        text: the answer.
        cut: the answer was cut at its longest, so that its end is no end.
        every: the assistant's turns before it are learnt too.
        score: by which winners of one dialogue are compared.
    """

    dialogue: str
    messages: tuple[Message, ...]
    text: str
    cut: bool = False
    every: bool = False
    score: float = 0.0


def read_targets(file: Path) -> list[Target]:
    """All targets of a file that say something, in its order.

    Raises:
        RunFailedError: the file is absent, or a line is not a target; the message names file, line and field.
    """
    found = []
    for number, row in enumerate(read_lines(file), start=1):
        if fault := _fault(row):
            raise RunFailedError(f"{file.name}, target {number}: {fault}")
        found.append(_target(row))
    return [target for target in found if not is_empty(target.text)]


def read_winners(files: Sequence[Path]) -> list[Target]:
    """Winners of all files, newest file last, one a dialogue: that of the highest score, of equal ones the newest.

    Ordered by dialogue. Up to V3 the paper forgot earlier rounds, "which caused regressions". Where several files come
    together their scores are those of different reward models, which the choice between them overlooks; a bank has been
    scored by one.
    """
    best: dict[str, Target] = {}
    for file in files:
        for winner in read_targets(file):
            rival = best.get(winner.dialogue)
            if rival is None or winner.score >= rival.score:
                best[winner.dialogue] = winner
    return [best[dialogue] for dialogue in sorted(best)]


def response_key(dialogue: str, text: str) -> str:
    """Names a response by the key of what it answers and by what it says."""
    return content_key("response", dialogue, text)


def _target(row: Mapping[str, Any]) -> Target:
    return Target(
        dialogue=row["dialogue"],
        messages=tuple({"role": turn["role"], "content": turn["content"]} for turn in row["messages"]),
        text=row["text"],
        cut=row.get("finish_reason") == "length",
        every=row.get("learn") == "every",
        score=float(row.get("score", 0.0)),
    )


def _fault(row: Mapping[str, Any]) -> str:
    """What keeps a row from being a target; empty: nothing."""
    for name in ("dialogue", "text"):
        if not isinstance(row.get(name), str):
            return f"{name} is not a text"
    turns = row.get("messages")
    if not isinstance(turns, list) or not all(_is_turn(turn) for turn in turns):
        return "messages is not a list of {role, content}"
    if not turns or turns[-1]["role"] != "user":
        return "messages does not end with a user's turn"
    if row.get("learn", LEARN[0]) not in LEARN:
        return f"learn is neither {' nor '.join(LEARN)}"
    return ""


def _is_turn(turn: Any) -> bool:
    return isinstance(turn, dict) and turn.get("role") in ROLES and isinstance(turn.get("content"), str)
