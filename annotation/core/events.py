"""What webhooks are told: the names of the events, and what each says.

Knows words and shapes alone. Must not know who is told, or how.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final


class Event(StrEnum):
    """Something that happened; its data name the object by the keys of the API."""

    BATCH_OPENED = "batch.opened"
    BATCH_SEALED = "batch.sealed"
    SNAPSHOT_READY = "snapshot.ready"
    SNAPSHOT_FAILED = "snapshot.failed"
    SNAPSHOT_WITHDRAWN = "snapshot.withdrawn"
    RUN_FINISHED = "run.finished"
    RUN_FAILED = "run.failed"
    REWARD_MODEL_REGISTERED = "reward_model.registered"
    REWARD_MODEL_PROMOTED = "reward_model.promoted"
    POLICY_REGISTERED = "policy.registered"
    ITERATION_MOVED = "iteration.moved"
    PING = "ping"  # a test that somebody asked for


class Standing(StrEnum):
    """How a webhook is doing."""

    ON = "on"
    FAILING = "failing"  # nothing was delivered since its last failure
    OFF = "off"  # switched off by a person or by the house


SENTENCES: Final[Mapping[Event, str]] = MappingProxyType(
    {
        Event.BATCH_OPENED: "A week's pairs are given to annotators",
        Event.BATCH_SEALED: "A week is frozen: nothing in it changes any more",
        Event.SNAPSHOT_READY: "A snapshot is written and can be downloaded",
        Event.SNAPSHOT_FAILED: "A snapshot could not be written",
        Event.SNAPSHOT_WITHDRAWN: "A snapshot was withdrawn: use the version that replaces it",
        Event.RUN_FINISHED: "A run has done its work",
        Event.RUN_FAILED: "A run ended without success: it failed, broke or was cancelled",
        Event.REWARD_MODEL_REGISTERED: "A new reward model can be used",
        Event.REWARD_MODEL_PROMOTED: "A reward model became the current one of its focus",
        Event.POLICY_REGISTERED: "A new policy can be used",
        Event.ITERATION_MOVED: "An iteration reached its next stage",
        Event.PING: "A test that somebody asked for",
    }
)

# What can be chosen: a ping goes to whom it is meant for, chosen or not.
CHOICES: Final = tuple(event for event in Event if event is not Event.PING)

_SNAPSHOT: Final = {
    "id": 7,
    "name": "Week 12 small",
    "version": 1,
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "rows": 4213,
}
# One of each, as documentation shows it. Every announcement has these fields and no others (a test compares).
EXAMPLES: Final[Mapping[Event, Mapping[str, Any]]] = MappingProxyType(
    {
        Event.BATCH_OPENED: {"number": 12, "name": "Week 12"},
        Event.BATCH_SEALED: {"number": 12, "name": "Week 12"},
        Event.SNAPSHOT_READY: _SNAPSHOT,
        Event.SNAPSHOT_FAILED: {**_SNAPSHOT, "sha256": "", "rows": 0, "error": "No space left on the store."},
        Event.SNAPSHOT_WITHDRAWN: {**_SNAPSHOT, "replaced_by": 8},
        Event.RUN_FINISHED: {
            "uid": "5b0a3f6e-8f3c-4a51-9b57-0d2f6f1f8a11",
            "kind": "train_reward_model",
            "state": "succeeded",
        },
        Event.RUN_FAILED: {
            "uid": "5b0a3f6e-8f3c-4a51-9b57-0d2f6f1f8a11",
            "kind": "train_reward_model",
            "state": "errored",
        },
        Event.REWARD_MODEL_REGISTERED: {"id": 3, "name": "helpfulness-V2", "focus": "helpfulness"},
        Event.REWARD_MODEL_PROMOTED: {
            "id": 3,
            "name": "helpfulness-V2",
            "focus": "helpfulness",
            "how": "rule",
            "previous": {"id": 1, "name": "helpfulness-V1"},
        },
        Event.POLICY_REGISTERED: {"id": 4, "name": "policy-V2"},
        Event.ITERATION_MOVED: {"id": 2, "number": 2, "from": "collecting", "to": "sealed"},
        Event.PING: {"webhook": 1},
    }
)


def message(event: Event, at: datetime, data: Mapping[str, object]) -> str:
    """The body of a delivery, as it is stored, signed and sent: compact JSON, UTF-8 once encoded."""
    told = {"type": event, "timestamp": at.isoformat(), "data": data}
    return json.dumps(told, ensure_ascii=False, separators=(",", ":"))


def example(event: Event) -> str:
    """A body as it might be."""
    return message(event, datetime(2026, 3, 6, 17, tzinfo=UTC), EXAMPLES[event])
