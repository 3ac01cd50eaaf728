"""OpenAssistant message trees (Köpf et al. 2023): sibling replies ranked by the consensus of many people.

Knows trees, ranks and which messages people wrote. Must not know pairs' order, ties or other formats.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Final

from annotation.core.formats.base import MAX_TURNS, Draft, Format, ImportedResponse, Verdict
from annotation.core.formats.fields import Row, RowError, quoted
from annotation.core.records import Message

MAPPING_VERSION: Final = 1

READY: Final = "ready_for_export"


def drafts(row: Row) -> Iterator[Draft]:
    if (state := row.name("tree_state")) not in ("", READY):
        raise RowError(f"tree_state is {quoted(state)}: only trees that are {READY} have final ranks")
    reference = row.name("message_tree_id")
    found = False
    for context, replies in _prompts(row.row("prompt")):
        for better, worse in _neighbours(replies):
            found = True
            yield Draft(
                messages=context,
                first=ImportedResponse(better.text("text")),
                second=ImportedResponse(worse.text("text")),
                verdict=Verdict.FIRST,
                reference=reference,
            )
    if not found:
        raise RowError("no prompt in this tree has two ranked replies by people")


def _prompts(root: Row) -> Iterator[tuple[tuple[Message, ...], list[Row]]]:
    """Every prompter's message with the dialogue up to it and its usable replies, parents first."""
    waiting: list[tuple[Row, tuple[Message, ...]]] = [(root, ())] if _usable(root, "prompter") else []
    while waiting:
        prompt, before = waiting.pop()
        if len(before) >= MAX_TURNS:
            raise RowError(f"the dialogue has more than {MAX_TURNS:,} turns")
        context: tuple[Message, ...] = (*before, {"role": "user", "content": prompt.text("text")})
        replies = [reply for reply in _replies(prompt) if _usable(reply, "assistant")]
        yield context, replies
        below: list[tuple[Row, tuple[Message, ...]]] = []
        for reply in replies:
            follow_ups = [message for message in _replies(reply) if _usable(message, "prompter")]
            if follow_ups:
                so_far: tuple[Message, ...] = (*context, {"role": "assistant", "content": reply.text("text")})
                below.extend((message, so_far) for message in follow_ups)
        waiting.extend(reversed(below))


def _replies(message: Row) -> Iterator[Row]:
    return message.rows("replies") if message.has("replies") else iter(())


def _usable(message: Row, role: str) -> bool:
    """Written by a person and kept; what hangs below another message is never reached."""
    if message.word("role", ("prompter", "assistant")) != role:
        raise RowError(f"{message.path('role')} must be {role}: prompter and assistant take turns")
    refused = message.has("review_result") and not message.flag("review_result")
    return not (message.flag("deleted") or message.flag("synthetic") or refused)


def _neighbours(replies: list[Row]) -> Iterator[tuple[Row, Row]]:
    """Pairs of replies next to each other in rank, the better first; equal ranks make no pair."""
    ranked = sorted(((reply.integer("rank"), n) for n, reply in enumerate(replies) if reply.has("rank")))
    for (better_rank, better), (worse_rank, worse) in pairwise(ranked):
        if better_rank != worse_rank:
            yield replies[better], replies[worse]


FORMAT: Final = Format(
    name="oasst",
    title="OpenAssistant message trees",
    version=MAPPING_VERSION,
    mapping=(
        ("messages from the root to a `prompter`", "the dialogue"),
        ("its `assistant` replies with a `rank`", "one judgment for each two next to each other in rank"),
        (
            "`rank`",
            "the choice: the smaller is better, equal ranks make no pair; no grade, annotator unknown",
        ),
        (
            "`deleted`, `synthetic`, `review_result`",
            "such or refused messages are left out with all below them",
        ),
        ("`tree_state`", f"only `{READY}` is read"),
        ("`message_tree_id`", "the reference"),
        ("`lang`, `emojis`, `review_count`, `model_name`, ids", "left out"),
    ),
    drafts=drafts,
)
