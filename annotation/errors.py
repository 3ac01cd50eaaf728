"""Domain errors: what went wrong in the user's terms, with a code that a program can match.

Services raise them; the API turns them into problem details and pages into sentences.
"""

from __future__ import annotations

from collections.abc import Sequence


class DomainError(Exception):
    """Something a person can put right. `message` says what happened, what was kept and what to do."""

    code = "invalid"
    status = 400

    def __init__(self, message: str, *, errors: Sequence[dict[str, object]] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.errors = list(errors)


class NotFoundError(DomainError):
    """Absent, or not yours to see: the answer is the same."""

    code = "not-found"
    status = 404


class ForbiddenError(DomainError):
    code = "forbidden"
    status = 403


class ConflictError(DomainError):
    """The thing is not in the state that the request assumes."""

    code = "conflict"
    status = 409


class BatchSealedError(ConflictError):
    code = "batch-sealed"


class LeaseLostError(ConflictError):
    code = "lease-lost"


class IllegalMoveError(ConflictError):
    code = "illegal-move"


class InvalidJudgmentError(DomainError):
    code = "invalid-judgment"
    status = 422


class InvalidPlanError(DomainError):
    """A batch that cannot be as it was asked for; `errors` names the fields."""

    code = "invalid-plan"
    status = 422


class InvalidImportError(DomainError):
    """A file that was refused whole; `errors` lists the first bad rows by line and reason."""

    code = "invalid-import"
    status = 422


class TooLargeError(DomainError):
    """A body or a file longer than the house takes."""

    code = "too-large"
    status = 413


class InvalidTokenError(DomainError):
    """The access token that came with a request does not work."""

    code = "invalid-token"
    status = 401


class InvalidWebhookError(DomainError):
    """A webhook that cannot be as it was asked for; `errors` names the fields."""

    code = "invalid-webhook"
    status = 422


class InvalidRecipeError(DomainError):
    """A snapshot that cannot be as it was asked for; `errors` names the fields."""

    code = "invalid-recipe"
    status = 422


class WithdrawnError(DomainError):
    """It was there and is not given out any more; the message says what takes its place."""

    code = "withdrawn"
    status = 410
