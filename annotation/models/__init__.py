"""The tables of human preference data."""

from annotation.models.batches import Batch, BatchEvent, Guideline, GuidelineReading
from annotation.models.comparisons import Comparison, Lease, Pass
from annotation.models.judgments import Judgment
from annotation.models.people import Role, User
from annotation.models.prompts import Dialogue, Prompt, Response
from annotation.models.reports import GuidelineReport
from annotation.models.snapshots import Snapshot

__all__ = [
    "Batch",
    "BatchEvent",
    "Comparison",
    "Dialogue",
    "Guideline",
    "GuidelineReading",
    "GuidelineReport",
    "Judgment",
    "Lease",
    "Pass",
    "Prompt",
    "Response",
    "Role",
    "Snapshot",
    "User",
]
