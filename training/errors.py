"""Domain errors of runs and iterations."""

from __future__ import annotations

from annotation.errors import ConflictError, DomainError


class InvalidSpecError(DomainError):
    """Parameters that cannot be run; `errors` holds {"field", "reason"} of each."""

    code = "invalid-spec"
    status = 422


class ClaimLostError(ConflictError):
    """Another launcher holds the run now; this one must let go of it."""

    code = "claim-lost"


class NotReadyError(ConflictError):
    """An earlier stage of the iteration has not ended yet."""

    code = "not-ready"
