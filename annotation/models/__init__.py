"""The tables of human preference data."""

from annotation.models.audit import AuditEvent
from annotation.models.batches import Batch, BatchEvent, Guideline, GuidelineReading
from annotation.models.comparisons import Comparison, Lease, Pass, Worklist
from annotation.models.gold import Gold, GoldMark
from annotation.models.invitations import Invitation
from annotation.models.judgments import Judgment
from annotation.models.people import Role, User
from annotation.models.prompts import Dialogue, Prompt, PromptBand, Response
from annotation.models.qualification import (
    Attempt,
    AttemptAnswer,
    AttemptState,
    Certificate,
    QualificationStep,
    Question,
    StepKind,
)
from annotation.models.reports import GuidelineReport
from annotation.models.reviews import Decision, Review
from annotation.models.snapshots import Snapshot, SnapshotFile
from annotation.models.tokens import AccessToken, IdempotentRequest
from annotation.models.webhooks import Webhook, WebhookDelivery

__all__ = [
    "AccessToken",
    "Attempt",
    "AttemptAnswer",
    "AttemptState",
    "AuditEvent",
    "Batch",
    "BatchEvent",
    "Certificate",
    "Comparison",
    "Decision",
    "Dialogue",
    "Gold",
    "GoldMark",
    "Guideline",
    "GuidelineReading",
    "GuidelineReport",
    "IdempotentRequest",
    "Invitation",
    "Judgment",
    "Lease",
    "Pass",
    "Prompt",
    "PromptBand",
    "QualificationStep",
    "Question",
    "Response",
    "Review",
    "Role",
    "Snapshot",
    "SnapshotFile",
    "StepKind",
    "User",
    "Webhook",
    "WebhookDelivery",
    "Worklist",
]
