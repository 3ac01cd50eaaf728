"""What people wrote and said, and how they agree."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from margin_client.records import Record


@dataclass(frozen=True, eq=False, repr=False)
class Prompt(Record):
    """What a dialogue begins with; `key` is made from its text. `split` is empty until its batch is sealed."""

    key: str
    text: str
    focus: str
    source: str
    category: str
    risk: str
    attack: str
    language: str
    licence: str
    turns: int
    difficulty: float | None
    in_pool: bool
    split: str
    cluster: str | None
    created_at: datetime


@dataclass(frozen=True, eq=False, repr=False)
class AddedPrompts(Record):
    """What became of prompts that were sent; `keys` are in the order in which they were."""

    keys: tuple[str, ...]
    new: int
    joined: int
    already: int
    repeated: int
    near: tuple[dict[str, Any], ...]


@dataclass(frozen=True, eq=False, repr=False)
class Response(Record):
    """An answer to a dialogue, with where it came from."""

    key: str
    text: str
    policy: str
    temperature: float | None
    top_p: float | None
    seed: int | None
    tokens: int | None
    latency_ms: int | None
    finish_reason: str
    run: str


@dataclass(frozen=True, eq=False, repr=False)
class Dialogue(Record):
    """Turns that end with a user's; `key` is made from them. Only one that is read alone has its `responses`."""

    key: str
    prompt: str
    parent: str | None
    turns: int
    messages: tuple[dict[str, str], ...]
    responses: tuple[Response, ...]
    created_at: datetime


@dataclass(frozen=True, eq=False, repr=False)
class Comparison(Record):
    """Two responses to one dialogue, of one batch. `dispute` is how far apart its judgments are."""

    key: str
    batch: int
    focus: str
    state: str
    language: str
    dispute: int
    attention_check: bool
    prompt: str
    dialogue: str
    messages: tuple[dict[str, str], ...]
    response_a: Response
    response_b: Response
    created_at: datetime


@dataclass(frozen=True, eq=False, repr=False)
class Judgment(Record):
    """What one person said of one comparison. `choice` and `left` are a or b; `annotator` is a pseudonym."""

    uid: str
    comparison: str
    batch: int
    annotator: str
    focus: str
    choice: str
    grade: str
    safety: str
    comment: str
    left: str
    guideline: dict[str, Any] | None
    active_ms: int | None
    source: str
    attention_check: bool
    created_at: datetime


@dataclass(frozen=True, eq=False, repr=False)
class Batch(Record):
    """A week: planned, open or sealed. Only one that is read alone has its `counts`."""

    number: int
    name: str
    state: str
    overlap: int
    holdout: int
    seed: int
    turn_limit: int
    daily_target: int
    shows_agreement: bool
    time_zone: str
    opens_at: datetime | None
    seals_at: datetime | None
    target: int
    person_quota: int
    needs_certificate: bool
    gold_rate: float
    gold_feedback: bool
    guidelines: tuple[dict[str, Any], ...]
    plan: dict[str, Any]
    counts: dict[str, int]
    opened_at: datetime | None
    sealed_at: datetime | None
    created_at: datetime


@dataclass(frozen=True, eq=False, repr=False)
class Coefficient(Record):
    """One measure of agreement, between `low` and `high` with the stated confidence; `why_none` says why there is no
    `value`."""

    name: str
    label: str
    weights: str | None
    metric: str | None
    value: float | None
    observed: float | None
    expected: float | None
    standard_error: float | None
    low: float | None
    high: float | None
    p_value: float | None
    why_none: str


@dataclass(frozen=True, eq=False, repr=False)
class ScaleAgreement(Record):
    """Agreement on one scale: the choice, the grade in eight steps, or the safety label."""

    scale: str
    pairs: int
    pairs_with_two: int
    people: int
    judgments: int
    categories: tuple[str, ...]
    notes: tuple[str, ...]
    coefficients: tuple[Coefficient, ...]


@dataclass(frozen=True, eq=False, repr=False)
class AgreementReport(Record):
    """How the people of a batch agree."""

    batch: int
    focus: str | None
    confidence: float
    scales: tuple[ScaleAgreement, ...]
