"""Frozen datasets for those who train on them: list, look at, download. Reading alone.

A snapshot never changes, so its content hash is its ETag. Must not know how one is written.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.db.models import QuerySet
from django.http import FileResponse
from django.http.response import HttpResponseBase
from django.utils.cache import get_conditional_response, patch_cache_control
from django.utils.text import slugify
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema, inline_serializer
from rest_framework import generics, serializers
from rest_framework.pagination import CursorPagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotation.access import require_role, snapshot_for, snapshots_for
from annotation.api.problems import SignedOutError
from annotation.errors import NotFoundError
from annotation.models import Batch, Role, Snapshot, User

JSON_LINES: Final = "application/jsonl"


# Inline, because a Serializer class has an attribute `errors` of its own.
Problem = inline_serializer(
    "Problem",
    {
        "type": serializers.CharField(),
        "title": serializers.CharField(),
        "status": serializers.IntegerField(),
        "detail": serializers.CharField(),
        "code": serializers.CharField(),
        "errors": serializers.ListField(child=serializers.DictField()),
    },
)
PROBLEMS: Final = {
    (401, "application/problem+json"): OpenApiResponse(Problem, "Signed out."),
    (403, "application/problem+json"): OpenApiResponse(Problem, "Not a researcher."),
}
MISSING: Final = {
    (401, "application/problem+json"): OpenApiResponse(Problem, "Signed out."),
    (404, "application/problem+json"): OpenApiResponse(Problem, "Absent, or not yours to see."),
}


class SnapshotSerializer(serializers.ModelSerializer[Snapshot]):
    """What a snapshot holds; `counts` are rows by split, focus, grade and label, and what was left out."""

    batches: serializers.SlugRelatedField[Batch] = serializers.SlugRelatedField(
        many=True, read_only=True, slug_field="name"
    )
    counts = serializers.DictField(child=serializers.IntegerField(), read_only=True)
    download = serializers.HyperlinkedIdentityField(view_name="api:snapshot-download")

    class Meta:
        model = Snapshot
        fields = [
            "id",
            "name",
            "sha256",
            "rows",
            "counts",
            "margin_table",
            "batches",
            "created_at",
            "download",
        ]


class SnapshotPages(CursorPagination):
    ordering = "-pk"

    def decode_cursor(self, request: Request) -> Any:
        """DRF hands the cursor's position to the database unread; anything but a key would break there."""
        cursor = super().decode_cursor(request)
        if cursor is not None and not re.fullmatch(r"[0-9]{1,18}", str(cursor.position or 0)):
            raise NotFoundError("This cursor leads nowhere. Begin again without one.")
        return cursor


class SnapshotList(generics.ListAPIView[Snapshot]):
    """Every snapshot, the newest first."""

    serializer_class = SnapshotSerializer
    pagination_class = SnapshotPages

    def get_queryset(self) -> QuerySet[Snapshot]:
        return snapshots_for(require_role(_user(self.request), Role.RESEARCHER)).prefetch_related("batches")

    @extend_schema(operation_id="snapshots_list", responses={200: SnapshotSerializer(many=True), **PROBLEMS})
    def get(self, request: Request, *args: object, **kwargs: object) -> Response:
        return super().get(request, *args, **kwargs)


class SnapshotDetail(APIView):
    """One snapshot."""

    @extend_schema(operation_id="snapshots_read", responses={200: SnapshotSerializer, **MISSING})
    def get(self, request: Request, pk: int) -> Response:
        snapshot = snapshot_for(_user(request), pk)
        return Response(SnapshotSerializer(snapshot, context={"request": request}).data)


class SnapshotDownload(APIView):
    """Its rows as JSON lines. The ETag is the SHA-256 of the bytes, as the manifest and the list give it."""

    @extend_schema(
        operation_id="snapshots_download",
        responses={(200, JSON_LINES): OpenApiTypes.BINARY, 304: None, **MISSING},
    )
    def get(self, request: Request, pk: int) -> HttpResponseBase:
        snapshot = snapshot_for(_user(request), pk)
        etag = f'"{snapshot.sha256}"'
        response = get_conditional_response(request._request, etag=etag) or _file(snapshot)
        response["ETag"] = etag
        patch_cache_control(response, private=True, no_cache=True)
        return response


def _user(request: Request) -> User:
    if not isinstance(request.user, User):
        raise SignedOutError("You are signed out. Sign in and try again.")
    return request.user


def _file(snapshot: Snapshot) -> FileResponse:
    place = _place(snapshot)
    if not place.is_file():
        raise NotFoundError(f"The file of {snapshot.name} is missing on the server. Tell its administrator.")
    name = f"{slugify(snapshot.name) or 'snapshot'}.jsonl"
    return FileResponse(place.open("rb"), as_attachment=True, filename=name, content_type=JSON_LINES)


def _place(snapshot: Snapshot) -> Path:
    home = Path(settings.MARGIN_HOME).resolve()
    place = (home / snapshot.path / "data.jsonl").resolve()
    if not place.is_relative_to(home):
        raise NotFoundError(f"The file of {snapshot.name} lies outside the house of files.")
    return place
