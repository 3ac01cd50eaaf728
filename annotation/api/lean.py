"""What every lean view shares: who asks, how a body is read, how an error is answered.

The rating path is called thousands of times an hour, so it uses plain Django views. Must not know what is
asked for.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import wraps
from itertools import islice
from typing import Any, Final, Protocol, TypeVar
from uuid import UUID

from django.http import HttpRequest, JsonResponse
from django.http.response import HttpResponseBase
from django.utils.cache import patch_cache_control
from django.utils.translation import gettext as _
from pydantic import BaseModel, ValidationError

from annotation.access import require_role
from annotation.api.auth import token_of
from annotation.api.problems import (
    InvalidRequestError,
    MediaTypeError,
    MethodError,
    OtherPersonError,
    SessionOnlyError,
    SignedOutError,
    json_problem,
)
from annotation.errors import TooLargeError
from annotation.models import Role, User

BODY_LIMIT: Final = 64 * 1024  # bytes
FIELDS: Final = 50  # wrong ones that one answer names
# Pages name the person they were opened for, so that work kept in a browser is never stored as somebody else's.
PERSON_HEADER: Final = "X-Margin-Annotator"

# In JSON a NUL is always written like this; PostgreSQL stores every character but this one.
_NUL: Final = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")

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
    if token_of(request) is not None:
        raise SessionOnlyError("The workbench takes no access tokens. Sign in with a browser.")
    expected = request.headers.get(PERSON_HEADER)
    if expected is not None and expected != request.user.pseudonym:
        raise OtherPersonError(_("Somebody else is signed in here now. Sign in as yourself to go on."))
    return require_role(request.user, role)


def read_body(request: HttpRequest, shape: type[Body], *, limit: int = BODY_LIMIT) -> Body:
    """The JSON body as `shape`, at most `limit` bytes of it.

    Raises:
        MediaTypeError, TooLargeError, InvalidRequestError: as for `read_json`.
        InvalidRequestError: a field of the wrong type, one too many or one too few; each is named.
    """
    text = read_json(request, limit)
    try:
        return shape.model_validate_json(text)
    except ValidationError as error:
        raise misshapen(field_errors(error)) from None


def read_json(request: HttpRequest, limit: int) -> bytes:
    """The body, unparsed.

    Raises:
        MediaTypeError: it does not say that it is JSON.
        TooLargeError: longer than `limit`.
        InvalidRequestError: a NUL character in it.
    """
    if request.content_type != "application/json":
        raise MediaTypeError("Send the body as application/json.")
    text = request.read(limit + 1)
    if len(text) > limit:
        raise TooLargeError(f"The body is longer than {limit:,} bytes.")
    if _NUL.search(text):
        errors: list[dict[str, object]] = [{"field": _with_nul(text), "reason": "It holds a NUL."}]
        raise InvalidRequestError("A NUL character cannot be stored.", errors=errors)
    return text


def misshapen(errors: Sequence[dict[str, object]]) -> InvalidRequestError:
    return InvalidRequestError("The body does not have the shape that this address takes.", errors=errors)


def _with_nul(text: bytes) -> str:
    """The outermost field that holds one."""
    try:
        found = json.loads(text)
    except ValueError:
        return ""
    fields = found.items() if isinstance(found, dict) else ()
    return next((str(name) for name, value in fields if "\0" in str(name) or _holds_nul(value)), "")


def _holds_nul(value: object) -> bool:
    return _NUL.search(json.dumps(value).encode()) is not None


def field_errors(error: ValidationError) -> list[dict[str, object]]:
    """{"field", "reason"}, one a field, of the first FIELDS that are wrong; one of a list is named by its path, as
    items.0.text, and the body itself is field ""."""
    reasons: dict[str, object] = {}
    for item in error.errors(include_url=False, include_context=False, include_input=False):
        reasons.setdefault(_place(item["loc"]), item["msg"])
    return [{"field": name, "reason": reason} for name, reason in islice(reasons.items(), FIELDS)]


def _place(path: tuple[int | str, ...]) -> str:
    """Up to the field behind the last number of a list: what follows may name pydantic's types and no field."""
    last = max((at for at, part in enumerate(path) if isinstance(part, int)), default=-1)
    return ".".join(map(str, path[: last + 2]))


class _Stored(Protocol):
    uid: UUID
    created_at: datetime


def stored_answer(row: _Stored, began: datetime, **more: object) -> JsonResponse:
    """201 for a row made since `began`; 200 for one from before, which a request that was sent twice names again."""
    status = 201 if row.created_at >= began else 200
    return JsonResponse({"uid": str(row.uid), "stored_at": row.created_at, **more}, status=status)
