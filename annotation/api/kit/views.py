"""What every view of the data's API shares: who may ask, what may be asked, what an answer carries.

A view names its role and its scopes; a collection also its rows, its filters and its serializer. Must not know what
the rows are about.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, ClassVar, Final

from django.db.models import QuerySet
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.cache import get_conditional_response, patch_cache_control, patch_vary_headers
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotation.access import require_role
from annotation.api.auth import token_of
from annotation.api.kit.fields import narrow
from annotation.api.kit.filters import Filter, read_parameters
from annotation.api.kit.limits import HouseThrottle
from annotation.api.kit.paging import PARAMETERS, Pages
from annotation.api.kit.schema import SPARSE, HouseSchema
from annotation.api.problems import ScopeError, SessionOnlyError, SignedOutError
from annotation.core.scopes import Scope
from annotation.models import Role, User

READING: Final = ("GET", "HEAD")


class ApiView(APIView):
    """One address. `parameters` are the query parameters that it takes; what it does not name is refused.

    `reads` and `writes` are the scopes that a token needs; None: sessions alone. `name` is the collection's, from
    which the schema makes the ids of operations; `example` is one row as it shows it.
    """

    role: ClassVar[Role] = Role.RESEARCHER
    reads: ClassVar[Scope | None] = None
    writes: ClassVar[Scope | None] = None
    any_scope: ClassVar[bool] = False  # reading needs a token, whatever it may do
    parameters: ClassVar[Mapping[str, Filter]] = {}
    name: ClassVar[str] = ""
    example: ClassVar[Mapping[str, Any] | None] = None
    sees_to_repetitions: ClassVar[bool] = False  # its POST waits for others, and no transaction may span that
    serializer_class: ClassVar[type[serializers.Serializer[Any]] | None] = None

    schema = HouseSchema()
    http_method_names = ["get", "head", "post", "put", "patch", "delete"]
    sparse: ClassVar[bool] = False  # a request may name the fields that it wants
    throttle_classes = [HouseThrottle]
    person: User
    given: dict[str, Any]  # the parsed query parameters

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.sparse and cls.serializer_class is not None:
            SPARSE.add(cls.serializer_class)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        method = request.method or ""
        if hasattr(self, method.lower()):
            self.given = read_parameters(request.query_params, *self.takes(method))

    @classmethod
    def takes(cls, method: str) -> tuple[Mapping[str, Filter], tuple[str, ...]]:
        """The query parameters of a method, and the names of those that the kit reads itself."""
        return cls.parameters, ()

    def check_permissions(self, request: Request) -> None:
        super().check_permissions(request)
        if not isinstance(request.user, User):
            raise SignedOutError("Sign in, or send an access token: Authorization: Bearer margin_….")
        self._check_scope(request)
        self.person = require_role(request.user, self.role)

    def _check_scope(self, request: Request) -> None:
        token = token_of(request._request)
        if token is None or not hasattr(self, (request.method or "").lower()):
            return
        reading = request.method in READING
        needed = self.reads if reading else self.writes
        if needed is None and not (reading and self.any_scope):
            raise SessionOnlyError("An access token cannot do this. Sign in with a browser.")
        if needed is not None and needed not in token.scopes:
            raise ScopeError(
                f"The token {token.prefix}… lacks the scope {needed}. Make one that has it, and send that."
            )

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        answer = super().dispatch(request, *args, **kwargs)
        patch_cache_control(answer, private=True, no_cache=True)
        patch_vary_headers(answer, ["Authorization", "Cookie"])
        if isinstance(answer, Response) and request.method in READING and answer.status_code == 200:
            answer = _tagged(request, answer)
        for name, value in getattr(request, "limit_headers", {}).items():
            answer[name] = value
        return answer


def _tagged(request: HttpRequest, response: Response) -> HttpResponseBase:
    """With the hash of its bytes as its tag; 304 where the client has them."""
    response.render()
    response["ETag"] = f'"{hashlib.sha256(response.content).hexdigest()[:32]}"'
    conditional = get_conditional_response(request, etag=response["ETag"], response=response)
    return response if conditional is None else conditional


class Collection(ApiView):
    """Rows that a GET lists, page by page. A subclass that has `create` answers POST with it.

    `filters` is the closed list of what may be asked for; `ordering` has to be unique.
    """

    sparse = True
    filters: ClassVar[Mapping[str, Filter]] = {}
    ordering: ClassVar[str] = "-pk"

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "create" in vars(cls):
            cls.post = vars(cls)["create"]  # type: ignore[attr-defined]  # as the class has no other

    def rows(self) -> QuerySet[Any]:
        """What this person may see, with all that the serializer reads."""
        raise NotImplementedError

    @classmethod
    def takes(cls, method: str) -> tuple[Mapping[str, Filter], tuple[str, ...]]:
        return (cls.filters, (*PARAMETERS, "fields")) if method in READING else (cls.parameters, ())

    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        rows = self.rows()
        for name, value in self.given.items():
            rows = self.filters[name].apply(rows, value)
        pages = Pages(self.ordering, salt=type(self).__name__)
        serializer = _serializer(self, request, many=True)
        serializer.instance = pages.paginate_queryset(rows, request, self)
        return pages.get_paginated_response(serializer.data)


class Item(ApiView):
    """One row."""

    sparse = True

    def row(self, **kwargs: Any) -> Any:
        """The row of this address. Raises NotFoundError where it is absent or not theirs to see."""
        raise NotImplementedError

    @classmethod
    def takes(cls, method: str) -> tuple[Mapping[str, Filter], tuple[str, ...]]:
        return (cls.parameters, ("fields",)) if method in READING else ({}, ())

    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        serializer = _serializer(self, request, many=False)
        serializer.instance = self.row(**kwargs)
        return Response(serializer.data)


def _serializer(view: ApiView, request: Request, *, many: bool) -> Any:
    if view.serializer_class is None:
        raise TypeError(f"{type(view).__name__} names no serializer_class")
    serializer = view.serializer_class(many=many, context={"request": request, "view": view})
    if (wanted := request.query_params.get("fields")) is not None:
        narrow(serializer, wanted)
    return serializer
