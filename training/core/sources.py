"""What a fine-tuning learns from, put together: winners, other targets, a snapshot's chosen, conversations.

Knows files and what each of them holds. Must not know tokens or models, nor who made the files.

Inputs, each of which may be absent: `targets` (files of winners, newest last: one target a dialogue), `lines` (files of
targets, all of which count), `snapshot` (a directory), `cut` (a file of the keys of responses that were cut), and
`conversations` (a file).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from annotation.core.records import PreferenceRecord
from rewardmodel.core.dataset import read_snapshot
from rewardmodel.core.files import sha256_of
from rewardmodel.core.report import RunFailedError
from training.core.chunks import read_lines
from training.core.conversations import conversation, fault_of
from training.core.selection import is_empty, normalised
from training.core.targets import Target, read_targets, read_winners, response_key

Inputs = Mapping[str, Any]


def read_sources(inputs: Inputs) -> dict[str, list[Target]]:
    """Targets by the source that they come from; sources that a run was not given are absent.

    Raises:
        RunFailedError: a file cannot be read or is not what it should be; it says which and where.
    """
    readers: Mapping[str, Callable[[Inputs], list[Target]]] = {
        "targets": lambda given: read_winners([Path(path) for path in given["targets"]]),
        "lines": lambda given: [one for path in given["lines"] for one in read_targets(Path(path))],
        "snapshot": lambda given: _snapshot(Path(given["snapshot"]), given.get("cut")),
        "conversations": lambda given: read_conversations(Path(given["conversations"])),
    }
    return {name: read(inputs) for name, read in readers.items() if inputs.get(name)}


def hashes_of(inputs: Inputs) -> dict[str, Any]:
    """What a manifest says of the sources: the SHA-256 of every file, and name and hash of a snapshot."""
    found: dict[str, Any] = {
        name: [sha256_of(Path(path)) for path in inputs[name]]
        for name in ("targets", "lines")
        if inputs.get(name)
    }
    if inputs.get("conversations"):
        found["conversations"] = sha256_of(Path(inputs["conversations"]))
    if inputs.get("snapshot"):
        found["snapshot"] = read_snapshot(Path(inputs["snapshot"]))[1]
    return found


def chosen_of(records: Iterable[PreferenceRecord], cut: frozenset[str] = frozenset()) -> list[Target]:
    """The chosen responses of training pairs as targets, each dialogue's each text once.

    Left out are those that are labelled unsafe: in a pair of which both are unsafe somebody had to choose one too.
    `cut` holds `response_key` of responses that ended at their longest.
    """
    found: dict[tuple[str, str], Target] = {}
    for record in records:
        unsafe = record.safety is not None and not record.safety.chosen_is_safe
        if record.split != "train" or unsafe or is_empty(record.chosen):
            continue
        target = Target(record.dialogue, record.messages, record.chosen)
        target = replace(target, cut=response_key(record.dialogue, record.chosen) in cut)
        found.setdefault((record.dialogue, normalised(record.chosen)), target)
    return list(found.values())


def read_conversations(file: Path) -> list[Target]:
    """The targets of a file of conversations; equal ones count once.

    Raises:
        RunFailedError: a line is no conversation.
    """
    found: dict[str, Target] = {}
    for number, row in enumerate(read_lines(file), start=1):
        if fault := fault_of(row):
            raise RunFailedError(f"{file.name}, conversation {number}: {fault}")
        target = conversation(row)
        found.setdefault(target.dialogue, target)
    return list(found.values())


def _snapshot(directory: Path, cut: str | None) -> list[Target]:
    keys: Sequence[str] = json.loads(Path(cut).read_bytes()) if cut else ()
    return chosen_of(read_snapshot(directory)[0], frozenset(keys))
