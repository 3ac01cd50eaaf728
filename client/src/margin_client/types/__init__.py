"""What the API speaks of, as records. The words are Margin's glossary; times are UTC."""

from __future__ import annotations

from margin_client.types.data import (
    AddedPrompts,
    AgreementReport,
    Batch,
    Coefficient,
    Comparison,
    Dialogue,
    Judgment,
    Prompt,
    Response,
    ScaleAgreement,
)
from margin_client.types.house import (
    BadRow,
    Delivery,
    ImportFormat,
    ImportReport,
    NewSecret,
    Person,
    Token,
    Webhook,
)
from margin_client.types.models import (
    Change,
    Changes,
    FirstChanges,
    Iteration,
    Policy,
    RewardModel,
    Run,
    RunEvent,
    Snapshot,
    SnapshotFile,
)

__all__ = [
    "AddedPrompts",
    "AgreementReport",
    "BadRow",
    "Batch",
    "Change",
    "Changes",
    "Coefficient",
    "Comparison",
    "Delivery",
    "Dialogue",
    "FirstChanges",
    "ImportFormat",
    "ImportReport",
    "Iteration",
    "Judgment",
    "NewSecret",
    "Person",
    "Policy",
    "Prompt",
    "Response",
    "RewardModel",
    "Run",
    "RunEvent",
    "ScaleAgreement",
    "Snapshot",
    "SnapshotFile",
    "Token",
    "Webhook",
]
