"""What can go wrong, in the server's own sentences: RFC 9457 problem details become exceptions.

Knows statuses and problem bodies. Must not know how requests are sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

import httpx


class MarginError(Exception):
    """Everything that this package raises of itself."""


class UnreachableError(MarginError):
    """No answer came, however often it was tried."""


class DownloadError(MarginError):
    """A file that came is not the file that was promised; nothing of it is kept."""


class RunEndedError(MarginError):
    """A run that was waited for ended without a result; `state` and `message` are the run's."""

    def __init__(self, message: str, *, state: str) -> None:
        super().__init__(message)
        self.state = state


class ProblemError(MarginError):
    """The server answered with a problem. `errors` names what is wrong where: {"field", "reason"} of each."""

    def __init__(
        self, detail: str, *, status: int, code: str = "", errors: Sequence[Mapping[str, Any]] = ()
    ) -> None:
        super().__init__(" ".join([detail, *_lines(errors)]))
        self.detail = detail
        self.status = status
        self.code = code
        self.errors = [dict(error) for error in errors]
        self.retry_after: float | None = None


class SignedOutError(ProblemError):
    """401: no token, or one that is wrong, expired or revoked."""


class ForbiddenError(ProblemError):
    """403: the person's role or the token's scopes do not allow it."""


class NotFoundError(ProblemError):
    """404: absent, or not yours to see."""


class ConflictError(ProblemError):
    """409: the thing is not in the state that the request assumes."""


class WithdrawnError(ProblemError):
    """410: it was there and is not given out any more; the text says what takes its place."""


class InvalidError(ProblemError):
    """400, 413, 415 or 422: a parameter or body that the server does not take; see `errors`."""


class RateLimitedError(ProblemError):
    """429, and waiting would take longer than the client may wait; `retry_after` is in seconds."""


class ServerError(ProblemError):
    """5xx: the fault is the server's."""


KINDS: Final[Mapping[int, type[ProblemError]]] = {
    401: SignedOutError,
    403: ForbiddenError,
    404: NotFoundError,
    409: ConflictError,
    410: WithdrawnError,
    429: RateLimitedError,
}


def error_of(response: httpx.Response) -> ProblemError:
    """The exception for an answer with an error status; its body must have been read."""
    status = response.status_code
    kind = KINDS.get(status, ServerError if status >= 500 else InvalidError)
    body = _body(response)
    detail = body.get("detail") or _plain(response)
    errors = [error for error in body.get("errors") or [] if isinstance(error, dict)]
    error = kind(str(detail), status=status, code=str(body.get("code", "")), errors=errors)
    error.retry_after = retry_after(response)
    return error


def retry_after(response: httpx.Response) -> float | None:
    """Seconds that the server asks us to wait (RFC 9110, 10.2.3: a number or a date); None where it does not."""
    text = response.headers.get("Retry-After", "").strip()
    if text.isdecimal():
        return float(text)
    try:
        return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return None


def _plain(response: httpx.Response) -> str:
    """A sentence for an answer that is none of Margin's: another server, or a proxy before it."""
    address = response.request.url
    if response.has_redirect_location:
        # Not followed: the token is for the address that was given.
        return f"{address} leads to {response.headers['Location']}. Give the client the address it leads to."
    return f"{address} answered {response.status_code} {response.reason_phrase} without a reason."


def _body(response: httpx.Response) -> dict[str, Any]:
    try:
        read = response.json()
    except ValueError:
        return {}
    return read if isinstance(read, dict) else {}


def _lines(errors: Sequence[Mapping[str, Any]]) -> list[str]:
    """`field: reason.` of each; a row of a file is named by its line."""
    return [
        f"{error.get('field') or error.get('line') or 'request'}: {error.get('reason', '')}"
        for error in errors[:20]
    ]
