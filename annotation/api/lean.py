"""What every lean view shares: who asks, how a body is read, how an error is answered.

The rating path is called thousands of times an hour, so it uses plain Django views. Must not know what is
asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import wraps
from typing import Any, Final, Protocol, TypeVar
from uuid import UUID

from django.http import HttpRequest, JsonResponse
from django.http.response import HttpResponseBase
from django.utils.cache import patch_cache_control
from django.utils.translation import gettext as _
from pydantic import BaseModel, ValidationError

from annotation.access import require_role
from annotation.api.problems import (
    InvalidRequestError,
    MediaTypeError,
    MethodError,
    OtherPersonError,
    SignedOutError,
    TooLargeError,
    json_problem,
)
from annotation.models import Role, User

BODY_LIMIT: Final = 64 * 1024  # bytes
# Pages name the person they were opened for, so that work kept in a browser is never stored as somebody else's.
PERSON_HEADER: Final = "X-Margin-Annotator"

View = Callable[..., HttpResponseBase]
Body = TypeVar("Body", bound=BaseModel)


def lean_view(method: str, role: Role) -> Callable[[View], Callable[..., HttpResponseBase]]:
    """Make a view of one method, for people with a role, that answers problems. It gets the person second.

    CSRF is enforced by the middleware, as for any page.
    """

    def wrap(view: View) -> Callable[..., HttpResponseBase]:
        @wraps(view)
        def answer(request: HttpRequest, **kwargs: Any) -> HttpResponseBase:
            try:
                response = view(request, _person(request, method, role), **kwargs)
            except Exception as error:  # noqa: BLE001  json_problem logs what it does not know
                response = json_problem(error)
            if request.method != method:
                response["Allow"] = method
            patch_cache_control(response, no_store=True, private=True)
            return response

        return answer

    return wrap


def _person(request: HttpRequest, method: str, role: Role) -> User:
    if request.method != method:
        raise MethodError(f"This address answers {method} alone.")
    if not isinstance(request.user, User):
        raise SignedOutError(_("You are signed out. Sign in again to go on."))
    expected = request.headers.get(PERSON_HEADER)
    if expected is not None and expected != request.user.pseudonym:
        raise OtherPersonError(_("Somebody else is signed in here now. Sign in as yourself to go on."))
    return require_role(request.user, role)


def read_body(request: HttpRequest, shape: type[Body], *, limit: int = BODY_LIMIT) -> Body:
    """The JSON body as `shape`, at most `limit` bytes of it.

    Raises:
        MediaTypeError: it does not say that it is JSON.
        TooLargeError: longer than `limit`.
        InvalidRequestError: not JSON, a field of the wrong type, one too many or one too few; each is named.
    """
    if request.content_type != "application/json":
        raise MediaTypeError("Send the body as application/json.")
    text = request.read(limit + 1)
    if len(text) > limit:
        raise TooLargeError(f"The body is longer than {limit:,} bytes.")
    try:
        return shape.model_validate_json(text)
    except ValidationError as error:
        raise InvalidRequestError(
            "The body does not have the shape that this address takes.", errors=field_errors(error)
        ) from None


def field_errors(error: ValidationError) -> list[dict[str, object]]:
    """{"field", "reason"}, one a field; the body itself is field ""."""
    reasons: dict[str, object] = {}
    for item in error.errors(include_url=False, include_context=False, include_input=False):
        reasons.setdefault(str(item["loc"][0]) if item["loc"] else "", item["msg"])
    return [{"field": name, "reason": reason} for name, reason in reasons.items()]


class _Stored(Protocol):
    uid: UUID
    created_at: datetime


def stored_answer(row: _Stored, began: datetime, **more: object) -> JsonResponse:
    """201 for a row made since `began`; 200 for one from before, which a request that was sent twice names again."""
    status = 201 if row.created_at >= began else 200
    return JsonResponse({"uid": str(row.uid), "stored_at": row.created_at, **more}, status=status)
