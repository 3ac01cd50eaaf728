"""Pages by cursor: a page begins after a row, and not after a number of rows.

So rows that are added meanwhile move nothing, and the ten-thousandth page costs what the first does.
"""

from __future__ import annotations

import json
from typing import Any, Final

from django.core import signing
from rest_framework.pagination import Cursor, CursorPagination
from rest_framework.request import Request
from rest_framework.utils.urls import replace_query_param

from annotation.api.kit.filters import Number
from annotation.api.problems import InvalidRequestError
from annotation.errors import NotFoundError

PAGE: Final = 50
LARGEST_PAGE: Final = 200
PARAMETERS: Final = ("cursor", "page_size")
SIZES: Final = Number(1, LARGEST_PAGE)


class Pages(CursorPagination):
    """DRF's, over an ordering that is unique. The cursor is signed for its collection: what the database is asked
    with is what we once wrote."""

    page_size = PAGE
    max_page_size = LARGEST_PAGE
    page_size_query_param = "page_size"

    def __init__(self, ordering: str = "-pk", salt: str = "") -> None:
        self.ordering = ordering
        self.signer = signing.Signer(salt=f"cursor:{salt}")

    def get_page_size(self, request: Request) -> int:
        given = request.query_params.get("page_size")
        if given is None:
            return PAGE
        try:
            return SIZES.parse(given)
        except ValueError as error:
            reason = f"It has to be {error}."
            raise InvalidRequestError(
                "page_size cannot be understood.", errors=[{"field": "page_size", "reason": reason}]
            ) from None

    def decode_cursor(self, request: Request) -> Cursor | None:
        given = request.query_params.get("cursor")
        if given is None:
            return None
        try:
            reverse, position = json.loads(self.signer.unsign(given))
        except (signing.BadSignature, ValueError):
            raise LostCursorError("This cursor leads nowhere. Begin again without one.") from None
        return Cursor(offset=0, reverse=reverse, position=position)

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        address = "https://margin.example.org/api/v1/…?cursor=…"
        link = {"type": ["string", "null"], "example": address}
        return {
            "type": "object",
            "required": ["next", "previous", "results"],
            "properties": {"next": link, "previous": link, "results": schema},
        }

    def encode_cursor(self, cursor: Cursor) -> str:
        text = self.signer.sign(json.dumps([cursor.reverse, cursor.position], separators=(",", ":")))
        return replace_query_param(str(self.base_url), "cursor", text)


class LostCursorError(NotFoundError):
    """Not one of this collection's: made up, cut short, or signed with an earlier key of the house."""

    code = "lost-cursor"
