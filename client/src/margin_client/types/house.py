"""Imports, webhooks, tokens and people."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from margin_client.records import Record


@dataclass(frozen=True, eq=False, repr=False)
class BadRow(Record):
    """A row that was left out: the line, or the number of the element, from 1."""

    line: int
    reason: str


@dataclass(frozen=True, eq=False, repr=False)
class ImportReport(Record):
    """What an import did, or would do in a dry run. `bad_rows` are the first 1,000 of `bad_rows_count`."""

    dry_run: bool
    format: str
    mapping_version: int
    batch: dict[str, Any] | None
    judgments: int
    comparisons: int
    prompts: int
    already: int
    repeated: int
    ties: int
    abstained: int
    margins_lost: int
    bad_rows_count: int
    bad_rows: tuple[BadRow, ...]


@dataclass(frozen=True, eq=False, repr=False)
class ImportFormat(Record):
    """A format that can be imported; `mapping_schema` is the JSON Schema of its `mapping`, None where it takes none."""

    name: str
    title: str
    version: int
    holds: str
    fields: tuple[dict[str, str], ...]
    mapping_schema: dict[str, Any] | None


@dataclass(frozen=True, eq=False, repr=False)
class Webhook(Record):
    """An address that is told of events; no events are all of them. Only one that was just made has its `secret`."""

    id: int
    name: str
    url: str
    events: tuple[str, ...]
    active: bool
    state: str
    pause_reason: str
    failing_since: datetime | None
    secret: str
    old_secret_ends_at: datetime | None
    created_by: str | None
    created_at: datetime


@dataclass(frozen=True, eq=False, repr=False)
class NewSecret(Record):
    """What deliveries are signed with, shown this once; until `old_secret_ends_at` the old one signs too."""

    secret: str
    old_secret_ends_at: datetime


@dataclass(frozen=True, eq=False, repr=False)
class Delivery(Record):
    """One event on its way to one address; `state` is waiting, delivered or failed."""

    uid: str
    event: str
    state: str
    attempts: int
    due_at: datetime | None
    status: int | None
    error: str
    took_ms: int | None
    replays: str | None
    body: Any
    created_at: datetime
    delivered_at: datetime | None


@dataclass(frozen=True, eq=False, repr=False)
class Token(Record):
    """A key to the API, without its text."""

    id: int
    name: str
    prefix: str
    account: str
    scopes: tuple[str, ...]
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None
    created_at: datetime


@dataclass(frozen=True, eq=False, repr=False)
class Person(Record):
    """Whose token this is, and the token."""

    username: str
    pseudonym: str
    role: str
    is_service: bool
    token: Token
