"""Bodies of requests, read as pydantic models; the schema describes them from the same models."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from rest_framework.request import Request

from annotation.api.lean import BODY_LIMIT, misshapen, read_json
from annotation.errors import ConflictError, DomainError

Shape = TypeVar("Shape", bound=BaseModel)


def read(request: Request, shape: type[Shape], *, limit: int = BODY_LIMIT) -> Shape:
    """The JSON body as `shape`, at most `limit` bytes of it.

    Raises:
        MediaTypeError: it does not say that it is JSON.
        TooLargeError: longer than `limit`.
        InvalidRequestError: not JSON, or a field that is wrong, too many or missing; each is named with its way from
            the outside, as in prompts.3.text.
    """
    try:
        return as_shape(shape, read_json(request._request, limit))
    except ValidationError as error:
        raise misshapen(path_errors(error)) from None


def as_shape(shape: type[Shape], text: str | bytes) -> Shape:
    """JSON as `shape`.

    Raises:
        ValidationError: it does not have that shape.
    """
    try:
        return shape.model_validate_json(text)
    except ValidationError as error:
        if not any(_is_whole(item) for item in error.errors()):
            raise
    # To JSON Schema 3.0 is an integer, and some languages write it so; pydantic wants 3.
    return shape.model_validate_json(json.dumps(json.loads(text, parse_float=_number)))


@contextmanager
def well_formed() -> Iterator[None]:
    """Round what a service does with a body that has the shape of the schema: what it refuses as unprocessable is
    then a conflict, since nothing in the schema forbids it. Code, words and fields stay."""
    try:
        yield
    except DomainError as error:
        if error.status != 422:
            raise
        refused = ConflictError(error.message, errors=error.errors)
        refused.code = error.code
        raise refused from error


def path_errors(error: ValidationError) -> list[dict[str, object]]:
    """{"field", "reason"}, one a field."""
    reasons: dict[str, object] = {}
    for item in error.errors(include_url=False, include_context=False, include_input=False):
        reasons.setdefault(_path(item["loc"]), item["msg"])
    return [{"field": name, "reason": reason} for name, reason in reasons.items()]


def _path(parts: tuple[int | str, ...]) -> str:
    """The outermost field, and what is within lists; what pydantic adds of unions and enumerations says nothing."""
    kept = list(parts[:1])
    for before, part in pairwise(parts):
        if isinstance(part, int) or isinstance(before, int):
            kept.append(part)
    return ".".join(map(str, kept))


def _is_whole(item: Any) -> bool:
    return item["type"] == "int_type" and isinstance(item["input"], float) and item["input"].is_integer()


def _number(text: str) -> int | float:
    number = float(text)
    return int(number) if number.is_integer() else number
