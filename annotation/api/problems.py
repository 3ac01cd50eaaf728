"""The one place where an error becomes an answer: RFC 9457 problem details.

Both halves of the API come here: DRF through its exception handler, the lean views through `json_problem`. An
error that nobody foresaw is logged with its traceback and answered without it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import structlog
from django.core.exceptions import PermissionDenied
from django.http import Http404, JsonResponse
from rest_framework.exceptions import APIException, AuthenticationFailed, NotAuthenticated, ValidationError
from rest_framework.views import set_rollback

from annotation.errors import DomainError

log = structlog.get_logger(__name__)

MEDIA_TYPE: Final = "application/problem+json"


class SignedOutError(DomainError):
    code = "signed-out"
    status = 401


class OtherPersonError(DomainError):
    """The page was opened by one person, and the session is another's now."""

    code = "other-person"
    status = 401


class MethodError(DomainError):
    code = "method-not-allowed"
    status = 405


class TooLargeError(DomainError):
    code = "too-large"
    status = 413


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
    set_rollback()
    return json_problem(exc)


def json_problem(exc: Exception) -> JsonResponse:
    """The same answer for a plain Django view."""
    problem = problem_of(exc)
    headers = {"WWW-Authenticate": "Session"} if problem.status == 401 else {}
    return JsonResponse(problem.body(), status=problem.status, headers=headers, content_type=MEDIA_TYPE)


def problem_of(exc: Exception) -> Problem:
    """The problem that an error is; an unforeseen one is logged here and says nothing of its cause."""
    if isinstance(exc, DomainError):
        return Problem(exc.status, exc.code, exc.message, exc.errors)
    if isinstance(exc, Http404):
        return Problem(404, "not-found", "There is nothing at this address.")
    if isinstance(exc, PermissionDenied):
        return Problem(403, "forbidden", "You may not do this.")
    if isinstance(exc, APIException):
        return _of_framework(exc)
    log.error("unforeseen error in the API", exc_info=exc)
    return Problem(500, "internal", "Something broke on our side. It is logged; nothing was changed.")


def _of_framework(exc: APIException) -> Problem:
    if isinstance(exc, (NotAuthenticated, AuthenticationFailed)):
        return Problem(401, "signed-out", "You are signed out. Sign in and try again.")
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
