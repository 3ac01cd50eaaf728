"""What every lean view shares: who asks, how a body is read, how an error is answered.

The rating path is called thousands of times an hour, so it uses plain Django views. Must not know what is
asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Final, TypeVar

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.cache import patch_cache_control
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

View = Callable[..., JsonResponse]
Body = TypeVar("Body", bound=BaseModel)


def lean_view(method: str, role: Role) -> Callable[[View], Callable[..., HttpResponse]]:
    """Make a view of one method, for people with a role, that answers problems. It gets the person second.

    CSRF is enforced by the middleware, as for any page.
    """

    def wrap(view: View) -> Callable[..., HttpResponse]:
        @wraps(view)
        def answer(request: HttpRequest, **kwargs: Any) -> HttpResponse:
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
        raise SignedOutError("You are signed out. Sign in again to go on.")
    expected = request.headers.get(PERSON_HEADER)
    if expected is not None and expected != request.user.pseudonym:
        raise OtherPersonError("Somebody else is signed in here now. Sign in as yourself to go on.")
    return require_role(request.user, role)


def read_body(request: HttpRequest, shape: type[Body]) -> Body:
    """The JSON body as `shape`.

    Raises:
        MediaTypeError: it does not say that it is JSON.
        TooLargeError: longer than BODY_LIMIT.
        InvalidRequestError: not JSON, a field of the wrong type, one too many or one too few; each is named.
    """
    if request.content_type != "application/json":
        raise MediaTypeError("Send the body as application/json.")
    text = request.read(BODY_LIMIT + 1)
    if len(text) > BODY_LIMIT:
        raise TooLargeError(f"The body is longer than {BODY_LIMIT:,} bytes.")
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
