"""Domain errors of runs and iterations."""

from __future__ import annotations

from annotation.errors import ConflictError, DomainError


class InvalidSpecError(DomainError):
    """Parameters that cannot be run; `errors` holds {"field", "reason"} of each."""

    code = "invalid-spec"
    status = 422


class InvalidEndpointError(DomainError):
    """No address of a response server."""

    code = "invalid-endpoint"
    status = 422


class ClaimLostError(ConflictError):
    """Another launcher holds the run now; this one must let go of it."""

    code = "claim-lost"


class NotReadyError(ConflictError):
    """An earlier stage of the iteration has not ended yet."""

    code = "not-ready"


class LiveUnavailableError(ConflictError):
    """Nobody can have a prompt answered now; the message says why."""

    code = "live-unavailable"


class TurnLimitError(ConflictError):
    code = "turn-limit"


class StoppedError(ConflictError):
    """The attempt is no longer the one whose answers are wanted."""

    code = "stopped"


class SameAnswersError(ConflictError):
    code = "same-answers"


class ModelFailedError(DomainError):
    """A side gave no answer. Never says which, or why: the log does."""

    code = "model-failed"
    status = 502


class ScorerUnavailableError(DomainError):
    """No resident scorer gave an answer; the message says why, and that a run would."""

    code = "scorer-unavailable"
    status = 503
    retry_after = 5  # seconds


class TooManyStreamsError(DomainError):
    code = "too-many-streams"
    status = 503
    retry_after = 10


class UnratableError(DomainError):
    """Texts that the reward model cannot read or rate; the message names the place."""

    code = "unratable"
    status = 422


class ModelStalledError(DomainError):
    code = "model-stalled"
    status = 504
