"""What several collections need beside views: keys in addresses, one address for two kinds of views, fields."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import register_converter
from rest_framework import serializers
from rest_framework.views import APIView

from annotation.models import Guideline


class KeyConverter:
    """A content key in an address."""

    regex = "[0-9a-f]{32}"

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


register_converter(KeyConverter, "key")


def by_method(
    view: type[APIView], **others: Callable[..., HttpResponseBase]
) -> Callable[..., HttpResponseBase]:
    """A view of the API with lean views for some methods. CSRF is the middleware's, as those need; the schema tells of
    the API's methods alone."""
    inner = view.as_view()

    def answer(request: HttpRequest, **kwargs: Any) -> HttpResponseBase:
        return others.get(request.method or "", inner)(request, **kwargs)

    answer.cls = view  # type: ignore[attr-defined]  # by which drf-spectacular knows a view
    answer.initkwargs = {}  # type: ignore[attr-defined]
    return answer


class GuidelineName(serializers.ModelSerializer[Guideline]):
    """One version of the guidelines for a focus."""

    class Meta:
        model = Guideline
        fields = ["focus", "version"]
