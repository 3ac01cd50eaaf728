"""Many dialogues with their responses rated chunk by chunk; what was rated survives a kill.

Knows chunks, their files and texts that cannot be rated. Must not know where the texts come from or what the rewards
are used for.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from transformers.utils.logging import disable_progress_bar, set_verbosity_error

from annotation.core.records import Message, canonical_json, content_key
from rewardmodel.core.asked import AskedError, Rewarder, encode_all
from rewardmodel.core.files import MANIFEST, sha256_of, write_atomically
from rewardmodel.core.report import RunFailedError
from rewardmodel.core.rows import Row
from rewardmodel.core.scorer import Group

RESPONSES_PER_CHUNK: Final = 128  # so many are lost by a kill, and at most so many share a batch

Rated = list[float | str]  # a reward for each response, or why it has none


def quieten() -> None:
    """Progress is told by lines, and rows longer than a tokenizer's usual ones are no news."""
    disable_progress_bar()  # type: ignore[no-untyped-call]
    set_verbosity_error()  # type: ignore[no-untyped-call]


def identity_of(reference: Mapping[str, Any]) -> str:
    """What names a reward model's content: the hash of its manifest, which has those of its files.

    Raises:
        RunFailedError: there is no such directory.
    """
    try:
        return sha256_of(Path(reference["path"]) / MANIFEST)
    except OSError as error:
        raise RunFailedError(f"{reference['path']} is not the directory of a reward model.") from error


def chunks_of(groups: Iterable[Group]) -> Iterator[list[Group]]:
    """The groups in their order, as many together as hold some 128 responses; no group is divided."""
    chunk: list[Group] = []
    held = 0
    for group in groups:
        chunk.append(group)
        held += len(group[1])
        if held >= RESPONSES_PER_CHUNK:
            yield chunk
            chunk, held = [], 0
    if chunk:
        yield chunk


def rate_kept(model: Rewarder, chunk: Sequence[Group], *, identity: str, kept: Path | None) -> list[Rated]:
    """As `rate`; what was rated before lies in a file of `kept`, named by the texts and by what rates (`identity`)."""
    if kept is None:
        return rate(model, chunk)
    asked = [[list(messages), list(responses)] for messages, responses in chunk]
    file = kept / f"{content_key('rated', identity, asked)}.json"
    if not file.exists():
        write_atomically(file, canonical_json(rate(model, chunk)))
    rated: list[Rated] = json.loads(file.read_bytes())
    return rated


def rate(model: Rewarder, groups: Sequence[Group]) -> list[Rated]:
    """Rewards of every group's responses; where one cannot be rated, the reason stands in its place."""
    encoded = [_encoded(model, group) for group in groups]
    readable = [[rows for rows in group if not isinstance(rows, str)] for group in encoded]
    rewards = iter([reward for group in model.rewards(readable) for reward in group])
    return [
        [rows if isinstance(rows, str) else _finite(next(rewards)) for rows in group] for group in encoded
    ]


def why_unratable(model: Rewarder, group: Group) -> str:
    """What is wrong with the first response that cannot be read behind this dialogue; empty: nothing."""
    return next((rows for rows in _encoded(model, group) if isinstance(rows, str)), "")


def _encoded(model: Rewarder, group: Group) -> list[Row | str]:
    try:
        return [*_rows(model, group)]
    except AskedError:  # of one of them: the others may be fine
        messages, responses = group
        return [_row_or_why(model, messages, response) for response in responses]


def _rows(model: Rewarder, group: Group) -> list[Row]:
    (rows,) = encode_all(model, [group])
    return rows


def _row_or_why(model: Rewarder, messages: Sequence[Message], response: str) -> Row | str:
    try:
        (row,) = _rows(model, (messages, [response]))
    except AskedError as error:
        return str(error).removeprefix("items[0]").removeprefix(".responses[0]").removeprefix(": ")
    return row


def _finite(reward: float) -> float | str:
    return reward if math.isfinite(reward) else "the model gave no number for it."
