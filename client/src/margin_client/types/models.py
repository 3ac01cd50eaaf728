"""What is made of it: snapshots, models, runs, iterations."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from margin_client.records import Record


@dataclass(frozen=True, eq=False, repr=False)
class SnapshotFile(Record):
    """One file of a snapshot, below its folder."""

    path: str
    format: str
    split: str
    media_type: str
    bytes: int
    rows: int | None
    sha256: str
    url: str


@dataclass(frozen=True, eq=False, repr=False)
class Snapshot(Record):
    """A frozen dataset. `state` is waiting, writing, ready, failed or withdrawn; `parent` is the version that it
    replaces. Only one that is read alone has its `files`."""

    id: int
    name: str
    version: int
    state: str
    parent: int | None
    replaced_by: int | None
    reason: str
    recipe: dict[str, Any]
    sha256: str
    rows: int
    counts: dict[str, int]
    margin_table: str
    aggregation: str
    batches: tuple[int, ...]
    formats: tuple[str, ...]
    error: str
    created_at: datetime
    written_at: datetime | None
    files: tuple[SnapshotFile, ...]


@dataclass(frozen=True, eq=False, repr=False)
class Change(Record):
    """One row that differs; `fields` where it changed."""

    id: str
    split: str
    fields: tuple[str, ...]


@dataclass(frozen=True, eq=False, repr=False)
class FirstChanges(Record):
    """Up to 100 rows of each kind."""

    added: tuple[Change, ...]
    changed: tuple[Change, ...]
    dropped: tuple[Change, ...]


@dataclass(frozen=True, eq=False, repr=False)
class Changes(Record):
    """How many rows of `snapshot` differ from those of `since`."""

    snapshot: int
    since: int
    added: int
    changed: int
    dropped: int
    first: FirstChanges


@dataclass(frozen=True, eq=False, repr=False)
class RewardModel(Record):
    """One trained reward model.

    `resident`: a scorer holds it, so that scoring starts no run. `current`: it is used where nobody names another;
    `promotion` says how it last came to be so.
    """

    id: int
    name: str
    focus: str
    recipe: str
    backbone: str
    snapshot: dict[str, Any]
    metrics: dict[str, Any]
    sha256: str
    run: str
    resident: bool
    current: bool
    promotion: dict[str, Any] | None
    created_at: datetime


@dataclass(frozen=True, eq=False, repr=False)
class Policy(Record):
    """One version of a policy."""

    id: int
    name: str
    kind: str
    weights: str
    parent: str | None
    adapter_on: str | None
    iteration: int | None
    answers_live: bool
    sampling: dict[str, Any]
    sha256: str
    run: str
    created_at: datetime


@dataclass(frozen=True, eq=False, repr=False)
class Run(Record):
    """Something that computes with a model. `state` is queued, running, cancelling, or one of the four ends: succeeded,
    failed, errored, cancelled. Only one that is read alone has its parameters, metrics and result."""

    uid: str
    kind: str
    state: str
    name: str
    iteration: int | None
    created_by: str | None
    attempt: int
    stage: str
    done: int
    total: int
    unit: str
    percent: int | None
    message: str
    seed: int
    params: dict[str, Any]
    inputs: dict[str, Any]
    seconds_left: float | None
    metrics: dict[str, dict[str, Any]]
    events: tuple[dict[str, Any], ...]
    result: dict[str, Any]
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None


@dataclass(frozen=True, eq=False, repr=False)
class RunEvent(Record):
    """What a run said about itself: state, started, stage, metric, note, failed, errored, cancelled, finished; and
    `progress` and `end`, which have no time."""

    id: str
    type: str
    at: datetime | None
    data: dict[str, Any]


@dataclass(frozen=True, eq=False, repr=False)
class Iteration(Record):
    """One turn of the loop, V(n) to V(n+1), with what it has made so far."""

    id: int
    number: int
    name: str
    state: str
    next: str
    batch: dict[str, Any]
    snapshot: dict[str, Any] | None
    helpfulness: dict[str, Any] | None
    safety: dict[str, Any] | None
    policy: dict[str, Any]
    base: dict[str, Any]
    tuned: dict[str, Any] | None
    next_batch: dict[str, Any] | None
    seed: int
    params: dict[str, Any]
    created_at: datetime
