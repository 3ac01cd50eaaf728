"""What the schema says of every operation without being told: parameters, problems, headers, scopes.

A view adds its own words with `operation`. Knows drf-spectacular, whose types are loose.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final, TypeVar

from drf_spectacular.contrib.pydantic import PydanticExtension
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ResolvedComponent
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema, inline_serializer
from pydantic.json_schema import model_json_schema
from rest_framework import serializers

from annotation.api.kit.fields import LONGEST, pattern_of
from annotation.api.kit.paging import LARGEST_PAGE, PAGE, Pages

View = TypeVar("View", bound=Callable[..., Any])
PROBLEM: Final = "application/problem+json"
NO_NUL: Final = r"^[^\x00]*$"

# Inline, because a Serializer class has an attribute `errors` of its own.
Problem: Final = inline_serializer(
    "Problem",
    {
        "type": serializers.CharField(help_text="A URN that names the kind."),
        "title": serializers.CharField(),
        "status": serializers.IntegerField(),
        "detail": serializers.CharField(help_text="What was wrong, and what to do."),
        "code": serializers.CharField(help_text="For programs to match."),
        "errors": serializers.ListField(
            child=serializers.DictField(), help_text="The fields or rows that are wrong."
        ),
    },
)
WORDS: Final[Mapping[int, str]] = {
    400: "The request cannot be read.",
    401: "Signed out, or the access token does not work.",
    403: "The role, or the token's scopes, do not allow it.",
    404: "Absent, or not yours to see.",
    406: "The answer is JSON, and the Accept header excludes that.",
    409: "Well-formed, but it cannot be so here and now: fields that exclude each other, a name that is taken, a time "
    "that is past, a thing in another state.",
    410: "It was withdrawn; the detail names what takes its place.",
    413: "The body is too long.",
    415: "The body is not what this address takes.",
    416: "The file has no such range.",
    422: "A parameter or a field of the body is not as it should be; errors names each.",
    429: "Too many requests; Retry-After says for how many seconds.",
}


def problems(*statuses: int) -> dict[Any, OpenApiResponse]:
    """Responses for `operation`, beside those that every operation has."""
    return {(status, PROBLEM): OpenApiResponse(Problem, WORDS[status]) for status in statuses}


def operation(
    operation_id: str = "",
    *,
    body: Any = None,
    body_example: Any = None,
    answer: Any = None,
    answer_example: Any = None,
    status: int = 200,
    more: Mapping[Any, Any] | None = None,
    **options: Any,
) -> Callable[[View], View]:
    """Describe a method of a view: `body` a pydantic model, `answer` a serializer or a model, `more` other responses
    by status, or by status and media type. Its docstring is its description."""
    others = dict(more or {})
    told = {key[0] if isinstance(key, tuple) else key for key in others}
    examples = []
    if body_example is not None:
        examples.append(OpenApiExample("Request", value=body_example, request_only=True))
    if answer_example is not None:
        examples.append(
            OpenApiExample("Answer", value=answer_example, response_only=True, status_codes=[str(status)])
        )
    return extend_schema(
        operation_id=operation_id or None,
        request=body,
        responses={**({} if status in told else {status: answer}), **others},
        examples=examples or None,
        **options,
    )


class HouseSchema(AutoSchema):
    """AutoSchema for the kit's views."""

    def get_operation_id(self) -> str:
        name = getattr(self.view, "name", "")
        verb = {"GET": "list" if self._is_collection() else "read", "POST": "create"}.get(self.method)
        return f"{name}_{verb or self.method.lower()}" if name else str(super().get_operation_id())

    def get_summary(self) -> str | None:
        given = super().get_summary()
        return given or self.get_description().partition(".")[0] or None

    def _is_collection(self) -> bool:
        return hasattr(self.view, "rows") and self.method == "GET"

    def _is_list_view(self, serializer: Any = None) -> bool:
        return self._is_collection()

    def _get_paginator(self) -> Pages | None:
        return Pages() if self._is_collection() else None

    def _get_pagination_parameters(self) -> list[dict[str, Any]]:
        return []  # among the filters, below

    def _get_filter_parameters(self) -> list[dict[str, Any]]:
        if not hasattr(self.view, "takes"):
            return list(super()._get_filter_parameters())  # type: ignore[no-untyped-call]
        filters, others = self.view.takes(self.method)
        found = [
            _parameter(name, one.schema, one.description, required=one.required)
            for name, one in filters.items()
        ]
        found += [_parameter(name, *OTHERS[name]) for name in others if name != "fields"]
        if "fields" in others:
            schema = {
                "type": "string",
                "maxLength": LONGEST,
                "pattern": pattern_of(self._rows()),
            }
            found.append(_parameter("fields", schema, FIELDS))
        if self.method == "POST":
            found.append({**_parameter("Idempotency-Key", *IDEMPOTENCY), "in": "header"})
        if self.method == "GET" and others:
            found.append({**_parameter("If-None-Match", *IF_NONE_MATCH), "in": "header"})
        return found

    def _get_response_bodies(self, direction: Any = "response") -> dict[str, Any]:
        found: dict[str, Any] = super()._get_response_bodies(direction)
        if not hasattr(self.view, "takes"):
            return found
        statuses = [401, 403, 422, 429]
        statuses += [404] if "{" in self.path or self._is_collection() else []
        statuses += [] if self.method == "GET" else [409]
        statuses += [413, 415] if self.method in ("POST", "PUT", "PATCH") else []
        for status in statuses:
            if str(status) not in found:
                answer = OpenApiResponse(Problem, WORDS[status])
                found[str(status)] = self._response(answer, str(status), [PROBLEM], direction)
        if self.method == "GET" and self.view.takes("GET")[1]:
            found.setdefault("304", {"description": "What If-None-Match names is still what is here."})
        return dict(sorted(found.items()))

    def _postprocess_serializer_schema(self, schema: Any, serializer: Any, direction: Any) -> Any:
        found = super()._postprocess_serializer_schema(schema, serializer, direction)  # type: ignore[no-untyped-call]
        if direction == "response" and any(type(serializer) in _within(one) for one in SPARSE):
            found.pop("required", None)  # whoever names fields gets no others
        return found

    def _get_request_body(self, direction: Any = "request") -> dict[str, Any] | None:
        found = super()._get_request_body(direction)  # type: ignore[no-untyped-call]
        return found and {**found, "required": True}

    def _rows(self) -> serializers.Serializer[Any]:
        return self.view.serializer_class()  # type: ignore[attr-defined,no-any-return]  # a view of the kit

    def _response(self, *parts: Any) -> Any:
        return self._get_response_for_code(*parts)  # type: ignore[no-untyped-call]

    def _get_response_headers_for_code(self, status_code: str, direction: Any = "response") -> dict[str, Any]:
        found: dict[str, Any] = super()._get_response_headers_for_code(status_code, direction)
        if status_code == "429":
            found["Retry-After"] = {"schema": {"type": "integer"}, "description": "Seconds to wait."}
        if status_code == "401":
            found["WWW-Authenticate"] = {"schema": {"type": "string"}, "description": "Bearer."}
        return found

    def get_examples(self) -> list[OpenApiExample]:
        example = getattr(self.view, "example", None)
        if example is None or self.method != "GET":
            return []
        return [OpenApiExample("Example", value=dict(example), response_only=True, status_codes=["200"])]


OTHERS: Final[Mapping[str, tuple[dict[str, Any], str]]] = {
    "cursor": (
        {"type": "string"},
        "Where the page begins: take it from next or previous, never make one.",
    ),
    "page_size": (
        {"type": "integer", "minimum": 1, "maximum": LARGEST_PAGE, "default": PAGE},
        "Rows of a page.",
    ),
}
FIELDS: Final = "Only these fields, separated by commas; a.b is the field b within a."
IDEMPOTENCY: Final = (
    {"type": "string", "minLength": 1, "maxLength": 128, "pattern": "^[!-~]{1,128}$"},
    "A name of your own for this request, best a UUID. Sent again with the same name within 48 hours, it does nothing "
    "and is answered as the first time.",
)
IF_NONE_MATCH: Final = ({"type": "string"}, "The ETag of what you have; 304 where that is still so.")


# Serializers of which a request may name fields; the kit's views add theirs.
SPARSE: Final[set[type[serializers.Serializer[Any]]]] = set()


@cache
def _within(outer: type[serializers.Serializer[Any]]) -> frozenset[type]:
    """A serializer, and those of the objects in its fields."""
    found: set[type] = {outer}
    for field in outer().fields.values():
        inner = getattr(field, "child", field)
        if isinstance(inner, serializers.Serializer):
            found |= _within(type(inner))
    return frozenset(found)


def _parameter(
    name: str, schema: dict[str, Any], description: str, *, required: bool = False
) -> dict[str, Any]:
    found = {"name": name, "in": "query", "description": description, "schema": schema}
    return {**found, "required": True} if required else found


class BodyExtension(PydanticExtension):  # type: ignore[no-untyped-call]  # drf-spectacular's are untyped
    """Bodies as they are read: a field with a default need not be sent."""

    target_class = "annotation.api.bodies.Body"
    match_subclasses = True
    priority = 1

    def map_serializer(self, auto_schema: Any, direction: Any) -> dict[str, Any]:
        own = f"{self.target.__name__}."  # two bodies may each have a part of one name
        reference = f"#/components/schemas/{own}{{model}}"
        found = model_json_schema(self.target, ref_template=reference, mode="validation")
        _forbid_nul(found)
        for name, inner in found.pop("$defs", {}).items():
            _register(auto_schema, f"{own}{name}", inner)
        return found


def _forbid_nul(schema: Any) -> None:
    """Say of each free text, and of names that are free, what every body is held to (annotation.api.lean)."""
    if isinstance(schema, list):
        for one in schema:
            _forbid_nul(one)
    if not isinstance(schema, dict):
        return
    for one in schema.values():
        _forbid_nul(one)
    if schema.get("type") == "string" and not {"pattern", "enum", "const", "format"} & set(schema):
        schema["pattern"] = NO_NUL
    if isinstance(schema.get("additionalProperties"), dict):
        schema.setdefault("propertyNames", {}).setdefault("pattern", NO_NUL)


def _register(auto_schema: Any, name: str, schema: dict[str, Any]) -> None:
    component = ResolvedComponent(  # type: ignore[no-untyped-call]
        name=name, type=ResolvedComponent.SCHEMA, object=name, schema=schema
    )
    auto_schema.registry.register_on_missing(component)


class DoorExtension(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """Two ways in; a token needs the scope that stands beside it."""

    target_class = "annotation.api.auth.DoorAuthentication"
    name = ["accessToken", "session"]

    def get_security_requirement(self, auto_schema: Any) -> list[dict[str, list[str]]]:
        view, reading = auto_schema.view, auto_schema.method in ("GET", "HEAD")
        scope = getattr(view, "reads" if reading else "writes", None)
        session: dict[str, list[str]] = {"session": []}
        if scope is None and not (reading and getattr(view, "any_scope", False)):
            return [session]
        return [{"accessToken": [str(scope)] if scope else []}, session]

    def get_security_definition(self, auto_schema: Any) -> list[dict[str, Any]]:
        token = {"type": "http", "scheme": "bearer", "description": "An access token, margin_…."}
        cookie = {
            "type": "apiKey",
            "in": "cookie",
            "name": "sessionid",
            "description": "A browser's session.",
        }
        return [token, cookie]
