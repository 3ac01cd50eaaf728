"""Domain errors of reward models."""

from __future__ import annotations

from annotation.errors import ConflictError, DomainError


class NotPromotedError(ConflictError):
    """The rule says no, or cannot say anything; the message says why and what to do."""

    code = "not-promoted"


class InvalidReasonError(DomainError):
    """A reason that is missing or cannot be stored."""

    code = "invalid-reason"
    status = 422
