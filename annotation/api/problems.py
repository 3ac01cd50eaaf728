"""The one place where an error becomes an answer: RFC 9457 problem details.

Both halves of the API come here: DRF through its exception handler, the lean views through `json_problem`. An
error that nobody foresaw is logged with its traceback and answered without it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import structlog
from django.core.exceptions import BadRequest, PermissionDenied, SuspiciousOperation
from django.http import Http404, JsonResponse, UnreadablePostError
from rest_framework.exceptions import (
    APIException,
    AuthenticationFailed,
    NotAuthenticated,
    Throttled,
    ValidationError,
)

from annotation.errors import DomainError

log = structlog.get_logger(__name__)

MEDIA_TYPE: Final = "application/problem+json"


class SignedOutError(DomainError):
    code = "signed-out"
    status = 401


class SessionOnlyError(DomainError):
    """The workbench's own, and what a token must not do: for browsers alone."""

    code = "session-only"
    status = 403


class ScopeError(DomainError):
    code = "insufficient-scope"
    status = 403


class StaleFormError(DomainError):
    code = "csrf"
    status = 403


class OtherPersonError(DomainError):
    """The page was opened by one person, and the session is another's now."""

    code = "other-person"
    status = 401


class MethodError(DomainError):
    code = "method-not-allowed"
    status = 405


class MediaTypeError(DomainError):
    code = "unsupported-media-type"
    status = 415


class InvalidRequestError(DomainError):
    """A body or parameter that does not have the stated shape; `errors` holds {"field", "reason"} of each."""

    code = "invalid-request"
    status = 422


@dataclass(frozen=True, slots=True)
class Problem:
    """What went wrong, in RFC 9457's members and two of our own: `code` and `errors`."""

    status: int
    code: str
    detail: str
    errors: Sequence[Mapping[str, object]] = field(default_factory=tuple)

    def body(self) -> dict[str, Any]:
        return {
            "type": f"urn:margin:problem:{self.code}",
            "title": self.code.replace("-", " ").capitalize(),
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            "errors": list(self.errors),
        }


def problem_response(exc: Exception, context: Mapping[str, Any]) -> JsonResponse:
    """DRF's exception handler (the EXCEPTION_HANDLER setting): JSON, whatever the view renders otherwise."""
    return json_problem(exc)


def json_problem(exc: Exception) -> JsonResponse:
    """The same answer for a plain Django view."""
    problem = problem_of(exc)
    return JsonResponse(
        problem.body(), status=problem.status, headers=_headers(exc, problem), content_type=MEDIA_TYPE
    )


def _headers(exc: Exception, problem: Problem) -> dict[str, str]:
    """What HTTP wants beside the body: how to sign in (RFC 6750), when to come back."""
    if problem.code == "invalid-token":
        return {"WWW-Authenticate": 'Bearer realm="Margin", error="invalid_token"'}
    if problem.code == "insufficient-scope":
        return {"WWW-Authenticate": 'Bearer realm="Margin", error="insufficient_scope"'}
    if problem.status == 401:
        return {"WWW-Authenticate": 'Bearer realm="Margin"'}
    if (seconds := getattr(exc, "retry_after", None)) is not None:
        return {"Retry-After": str(seconds)}
    return {"Retry-After": str(_wait(exc))} if isinstance(exc, Throttled) else {}


def _wait(exc: Throttled) -> int:
    return math.ceil(getattr(exc, "wait", None) or 1)  # seconds


def problem_of(exc: Exception) -> Problem:
    """The problem that an error is; an unforeseen one is logged here and says nothing of its cause."""
    if isinstance(exc, DomainError):
        return Problem(exc.status, exc.code, exc.message, exc.errors)
    if isinstance(exc, Http404):
        return Problem(404, "not-found", "There is nothing at this address.")
    if isinstance(exc, PermissionDenied):
        return Problem(403, "forbidden", "You may not do this.")
    if isinstance(exc, SuspiciousOperation | BadRequest | UnreadablePostError):
        return Problem(400, "invalid", "The request cannot be read: it is too large, cut short or malformed.")
    if isinstance(exc, APIException):
        return _of_framework(exc)
    log.error("unforeseen error in the API", exc_info=exc)
    return Problem(500, "internal", "Something broke on our side. It is logged; nothing was changed.")


def _of_framework(exc: APIException) -> Problem:
    if isinstance(exc, (NotAuthenticated, AuthenticationFailed)):
        words = "Sign in and try again, or send an access token: Authorization: Bearer margin_…."
        return Problem(401, "signed-out", f"You are signed out. {words}")
    if isinstance(exc, Throttled):
        words = f"Too many requests. Nothing was done; come back in {_wait(exc)} seconds."
        return Problem(429, "throttled", words)
    if isinstance(exc, ValidationError):
        return Problem(
            422, "invalid-request", "The request is not as it should be.", _field_errors(exc.detail)
        )
    code = str(exc.default_code).replace("_", "-")
    return Problem(exc.status_code, code, str(exc.detail))


def _field_errors(detail: Any) -> list[dict[str, object]]:
    if isinstance(detail, Mapping):
        return [{"field": name, "reason": _sentence(reasons)} for name, reasons in detail.items()]
    return [{"field": "", "reason": _sentence(detail)}]


def _sentence(reasons: Any) -> str:
    return " ".join(map(str, reasons)) if isinstance(reasons, (list, tuple)) else str(reasons)
