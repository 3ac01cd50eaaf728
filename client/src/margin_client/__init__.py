"""Client of Margin's API: human preference data, snapshots, runs and reward models.

with Margin("https://margin.example.org", token) as client:
    rows = client.snapshots.load("Week 1", split="train")
"""

from __future__ import annotations

from margin_client.client import AsyncMargin, Margin, __version__
from margin_client.errors import (
    ConflictError,
    DownloadError,
    ForbiddenError,
    InvalidError,
    MarginError,
    NotFoundError,
    ProblemError,
    RateLimitedError,
    RunEndedError,
    ServerError,
    SignedOutError,
    UnreachableError,
    WithdrawnError,
)

__all__ = [
    "AsyncMargin",
    "ConflictError",
    "DownloadError",
    "ForbiddenError",
    "InvalidError",
    "Margin",
    "MarginError",
    "NotFoundError",
    "ProblemError",
    "RateLimitedError",
    "RunEndedError",
    "ServerError",
    "SignedOutError",
    "UnreachableError",
    "WithdrawnError",
    "__version__",
]
